/** Timers that run only if there is work: after events, and until a moment. */

/** The time without events after which the work is done, in ms. */
const QUIET_MS = 2000;
/** The longest time between two works while events come, in ms. */
const BUSY_MS = 10_000;

/**
 * Does work when no event has come for a moment, or now and then while events come. It runs only
 * after events.
 */
export class QuietTimer {
  #timer: NodeJS.Timeout | null = null;
  #changedMs = 0;
  #workedMs = 0;
  #isStopped = false;

  constructor(private readonly work: () => void) {}

  /** Notes that events have come. */
  changed(): void {
    this.#changedMs = performance.now();
    this.expect();
  }

  /** Expects work without an event. */
  expect(): void {
    if (this.#timer !== null || this.#isStopped) return;
    this.#workedMs = performance.now();
    this.#timer = setTimeout(() => this.#look(), QUIET_MS);
  }

  #look(): void {
    const now = performance.now();
    const isQuiet = now - this.#changedMs >= QUIET_MS - 1;
    if (isQuiet || now - this.#workedMs >= BUSY_MS) {
      this.work();
      this.#workedMs = now;
    }
    this.#timer = isQuiet ? null : setTimeout(() => this.#look(), QUIET_MS);
  }

  /** Ends the timer. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

/** Does work at a moment that may change. */
export class DueTimer {
  #timer: NodeJS.Timeout | null = null;
  #dueMs = Infinity;
  #isStopped = false;

  constructor(private readonly work: () => void) {}

  /** Sets the moment. @param dueMs of performance.now(); Infinity for none */
  set(dueMs: number): void {
    if (dueMs === this.#dueMs || this.#isStopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    const ms = Math.max(1, Math.ceil(dueMs - performance.now()));
    this.#timer = dueMs === Infinity ? null : setTimeout(() => this.#run(), ms);
  }

  #run(): void {
    this.#dueMs = Infinity;
    this.work();
  }

  /** Ends the timer. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
