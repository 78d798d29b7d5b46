/**
 * Long work that may be postponed, cut into turns of 0.4 ms between which the daemon serves
 * requests. The daemon frees the memory of an ended directory this way. One effect that a client
 * can observe waits for a turn: the files that are open for writing in the ended directory become
 * complete in the other queues that hold them.
 */

import { clock } from '../shared/clock.js';

/** Work that can be done in steps. */
export interface Task {
  /**
   * Does a small part of the work, about 10 us of it.
   * @returns whether all of the work is done
   */
  step(): boolean;
}

/** The length of one turn, in which the daemon serves no request. */
const TURN_MS = 0.4;
/**
 * `add` works at once for at most AT_ONCE_MS in each window of WINDOW_MS, however many tasks come:
 * a short task is done without a turn.
 */
const WINDOW_MS = 5;
const AT_ONCE_MS = 0.4;

/** The postponed tasks, in the order in which they were added. */
export class Turns {
  #tasks: Task[] = [];
  /** The index of the first task that is not done. */
  #first = 0;
  #isScheduled = false;
  #isWorking = false;
  #windowStartMs = -Infinity;
  #spentInWindowMs = 0;
  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.#work(TURN_MS);
    this.#schedule();
  };

  /** The number of tasks that are not done. */
  get pending(): number {
    return this.#tasks.length - this.#first;
  }

  /**
   * Takes a task: does it at once if it is short, else in turns after the tasks that wait already.
   * A step may add tasks.
   */
  add(task: Task): void {
    this.#tasks.push(task);
    if (this.#isScheduled || this.#isWorking) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#windowStartMs > WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#spentInWindowMs = 0;
    }
    if (this.#spentInWindowMs < AT_ONCE_MS)
      this.#spentInWindowMs += this.#work(AT_ONCE_MS - this.#spentInWindowMs);
    this.#schedule();
  }

  /** Does all waiting tasks, however long that takes. Called when the daemon ends. */
  finish(): void {
    this.#work(Infinity);
  }

  /**
   * Works until the tasks are done or the time is over.
   * @param mostMs the time, in milliseconds
   * @returns the time spent, in milliseconds
   */
  #work(mostMs: number): number {
    const startMs = clock.monotonicMs();
    let spentMs = 0;
    this.#isWorking = true;
    try {
      while (this.#first < this.#tasks.length && spentMs < mostMs) {
        if (this.#tasks[this.#first].step()) this.#first++;
        spentMs = clock.monotonicMs() - startMs;
      }
    } finally {
      this.#isWorking = false;
    }
    if (this.#first === this.#tasks.length) {
      this.#tasks = [];
      this.#first = 0;
    }
    return spentMs;
  }

  #schedule(): void {
    if (this.pending === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    clock.soon(this.#turn);
  }
}
