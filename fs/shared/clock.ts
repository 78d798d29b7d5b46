/**
 * The daemon's clock, its immediates and its random numbers. One object holds them, so that a
 * simulation can replace them: then a run depends on nothing but its seed.
 */

/** The functions by which the daemon reads time and chance. */
export interface Clock {
  /** Returns the time since the epoch, in milliseconds. */
  epochMs: () => number;
  /** Returns the time since some moment, in milliseconds with a fraction. It never goes back. */
  monotonicMs: () => number;
  /** Returns the CPU time of this process, in milliseconds. */
  cpuMs: () => number;
  /** Returns a number from 0 up to but not including 1. */
  random: () => number;
  /** Calls `callback` after the present turn of the event loop. */
  soon: (callback: () => void) => void;
}

/** The clock of this process. */
export const clock: Clock = {
  epochMs: Date.now,
  monotonicMs: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  random: Math.random,
  soon: (callback) => void setImmediate(callback),
};

/** Replaces the functions of the clock, for all code of this process. */
export function replaceClock(by: Clock): void {
  Object.assign(clock, by);
}
