/**
 * How owners have ended: by an exit code or by a signal. The daemon counts it for `log/.status`,
 * and the trace of deaths shows it.
 *
 * A death takes effect first. The daemon asks how the owner ended later, in a turn between
 * requests, and closes the pidfd then (docs/decisions/100-how-an-owner-ended.md).
 */
import { constants } from 'node:os';
import { clock } from '../shared/clock.js';
import { isSystemError } from '../shared/errors.js';
import type { LogFields } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { Pid } from './process.js';
import { system } from './system.js';

/** An owner that is dead, and whose pidfd is still open. */
export interface DeadOwner {
  readonly pid: Pid;
  readonly pidfd: number;
}

/** How a process has ended, or null if the daemon cannot know it. */
type Ending =
  { readonly exitCode: number } | { readonly signal: string; readonly dumped: boolean } | null;

/** Results of `exitStatus` that are no status. */
const NOT_REAPED = -1;

const signalNames = new Map(
  Object.entries(constants.signals)
    .reverse() // so that the first of two names for one number remains: SIGABRT, not SIGIOT
    .map(([name, number]) => [number, name]),
);

/** Decodes a status of wait(2). */
export function endingOf(status: number): Ending {
  const signal = status & 0x7f;
  if (signal === 0) return { exitCode: (status >> 8) & 0xff };
  return { signal: signalNames.get(signal) ?? `signal ${signal}`, dumped: (status & 0x80) !== 0 };
}

/** Describes an ending in words, as in `exit code 1`. */
export function endingText(ending: Ending): string {
  if (ending === null) return 'how it ended is unknown';
  if ('exitCode' in ending) return `exit code ${ending.exitCode}`;
  return `killed by ${ending.signal}${ending.dumped ? ', core dumped' : ''}`;
}

/** Returns the same for a program. Without a field the ending is unknown. */
export function endingFields(ending: Ending): LogFields {
  if (ending === null) return {};
  return 'exitCode' in ending ? { exit_code: ending.exitCode } : { signal: ending.signal };
}

/** Returns how a dead process has ended. Its pidfd must still be open. */
export function readEnding(owner: DeadOwner): Ending {
  return endingSoFar(owner) ?? null;
}

/** Returns the same, or undefined if the kernel may tell it later: the process is not reaped. */
function endingSoFar({ pid, pidfd }: DeadOwner): Ending | undefined {
  let status = system.exitStatus(pidfd);
  if (status === NOT_REAPED) {
    const zombie = zombieStatus(pid);
    // If the process is still not reaped, the file of /proc was its own.
    status = system.exitStatus(pidfd);
    if (status === NOT_REAPED) return zombie === null ? undefined : endingOf(zombie);
  }
  return status < 0 ? null : endingOf(status);
}

/** Places in /proc/<pid>/stat behind the process's name: proc_pid_stat(5). */
const STATE = 0;
const WCHAN = 32;
const EXIT_CODE = 49;

/** The states of a process that has ended: a zombie, and one that its parent is just reaping. */
const ENDED_STATES = ['Z', 'X'];

/** Returns the status of a zombie as wait(2) will have it, or null if the kernel hides it. */
function zombieStatus(pid: Pid): number | null {
  let text: string;
  try {
    text = system.readWhole(`/proc/${pid}/stat`);
  } catch (error) {
    if (isSystemError(error)) return null; // it is reaped, or /proc is hidden
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (!ENDED_STATES.includes(fields[STATE])) return null;
  // A reader without the right to trace the process finds 0 in both fields (fs/proc/array.c,
  // do_task_stat). A zombie's wchan is 1, but 0 too while it still runs the end of do_exit(). Its
  // links in ns/ take the same right.
  const isShown = fields[WCHAN] !== '0' || system.namespaceOf(pid, 'pid') !== undefined;
  return isShown ? Number(fields[EXIT_CODE]) : null;
}

/** A part of the work: it fits the time that a step of a task may take. */
const OWNERS_A_STEP = 4;

/**
 * How often the daemon asks again: a process whose status the kernel hides from it may be reaped
 * soon, and then the pidfd tells the status.
 */
const MOST_ATTEMPTS = 5;
const ATTEMPT_INTERVAL_MS = 10;

/** A dead owner that is not counted yet. */
interface Uncounted extends DeadOwner {
  attempts: number;
}

/** How many dead owners ended in each way. */
interface EndingCounts {
  readonly exited: number;
  readonly signalled: number;
  readonly unknown: number;
}

/** The dead owners that have not been counted yet, and the counts of the others. */
export class Endings {
  #waiting: Uncounted[] = [];
  /** Those whose ending the kernel does not tell yet. */
  #dying: Uncounted[] = [];
  #retry: NodeJS.Timeout | undefined;
  #first = 0;
  readonly #counted = { exited: 0, signalled: 0, unknown: 0 };
  #isScheduled = false;
  #postpone: (task: Endings) => void = (task) => task.finish();
  #note: () => void = () => undefined;
  readonly #start = (): void => {
    this.#isScheduled = false;
    if (this.pending > 0) this.#postpone(this);
  };

  /** @param postpone does the task in turns between requests (tree/turns.ts) */
  postponeBy(postpone: (task: Endings) => void): void {
    this.#postpone = postpone;
  }

  /** @param note called after each change of the counts, or of `pending` */
  noteBy(note: () => void): void {
    this.#note = note;
  }

  /** How many dead owners ended in each way. */
  get counts(): EndingCounts {
    return this.#counted;
  }

  /**
   * Takes up the counts of the last daemon.
   *
   * @param counts that daemon's counts
   * @param unknown how many more owners have died, of which no daemon knows how they ended
   */
  restore(counts: EndingCounts, unknown: number): void {
    this.#counted.exited += counts.exited;
    this.#counted.signalled += counts.signalled;
    this.#counted.unknown += counts.unknown + unknown;
    this.#note();
  }

  /** The number of dead owners whose pidfds are still open. */
  get pending(): number {
    return this.#waiting.length - this.#first + this.#dying.length;
  }

  /**
   * Takes a dead owner, whose pidfd `step` will close: after the request that is being served, and
   * after the turns that free what the owner held. By then its parent may have reaped it.
   */
  add({ pid, pidfd }: DeadOwner): void {
    this.#waiting.push({ pid, pidfd, attempts: 1 });
    this.#note();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    clock.soon(this.#start);
  }

  /**
   * Counts some dead owners, and closes their pidfds.
   *
   * @returns whether none is left for now
   */
  step(): boolean {
    for (let n = 0; n < OWNERS_A_STEP && this.#first < this.#waiting.length; n++) {
      const owner = this.#waiting[this.#first++];
      const ending = endingSoFar(owner);
      if (ending === undefined && owner.attempts < MOST_ATTEMPTS) {
        owner.attempts++;
        this.#dying.push(owner);
        continue;
      }
      this.#count(ending ?? null);
      system.closePidfd(owner.pidfd);
    }
    if (this.#first < this.#waiting.length) return false;
    this.#waiting = [];
    this.#first = 0;
    if (this.#dying.length > 0)
      this.#retry ??= setTimeout(() => this.#tryAgain(), ATTEMPT_INTERVAL_MS);
    return true;
  }

  #tryAgain(): void {
    this.#retry = undefined;
    this.#waiting.push(...this.#dying.splice(0));
    this.#schedule();
  }

  #count(ending: Ending): void {
    if (ending === null) this.#counted.unknown++;
    else if ('exitCode' in ending) this.#counted.exited++;
    else this.#counted.signalled++;
    this.#note();
  }

  /** Counts all dead owners, and closes their pidfds. */
  finish(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#waiting.push(...this.#dying.splice(0));
    for (const owner of this.#waiting) owner.attempts = MOST_ATTEMPTS;
    while (!this.step());
  }

  /** Returns the lines of `log/.status`. */
  statusLines(): StatusLines {
    const { exited, signalled, unknown } = this.#counted;
    return [
      ['OWNERS_EXITED', exited],
      ['OWNERS_SIGNALLED', signalled],
      ['OWNERS_UNKNOWN', unknown],
    ];
  }
}
