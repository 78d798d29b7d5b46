/**
 * Long work that may wait, cut into turns: what a dead owner held is freed so, with requests served in between. What a
 * client can observe never waits for a turn.
 */

/** Work that can be cut. */
export interface Task {
  /**
   * Does a small part of the work, some 10 us of it.
   * @returns whether all of it is done
   */
  step(): boolean;
}

/** How long one turn may hold the daemon. */
const TURN_MS = 1;
/** Work begins at once where it is likely to fit: so much of each window may go to that, however many tasks come. */
const WINDOW_MS = 5;
const AT_ONCE_MS = 1;

export class Turns {
  #tasks: Task[] = [];
  /** The first task that is not done. */
  #first = 0;
  #isScheduled = false;
  #windowStartMs = -Infinity;
  #spentInWindowMs = 0;
  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.#work(TURN_MS);
    this.#schedule();
  };

  /** How many tasks are not done. */
  get pending(): number {
    return this.#tasks.length - this.#first;
  }

  /** Takes a task: does it at once if that is quick, else in turns behind the tasks that wait already. */
  add(task: Task): void {
    this.#tasks.push(task);
    if (this.#isScheduled) return;
    const nowMs = performance.now();
    if (nowMs - this.#windowStartMs > WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#spentInWindowMs = 0;
    }
    if (this.#spentInWindowMs < AT_ONCE_MS)
      this.#spentInWindowMs += this.#work(AT_ONCE_MS - this.#spentInWindowMs);
    this.#schedule();
  }

  /** Does all that waits, however long it takes: the daemon is going. */
  finish(): void {
    this.#work(Infinity);
  }

  /** @returns how many milliseconds it took */
  #work(mostMs: number): number {
    const startMs = performance.now();
    let spentMs = 0;
    while (this.#first < this.#tasks.length && spentMs < mostMs) {
      if (this.#tasks[this.#first].step()) this.#first++;
      spentMs = performance.now() - startMs;
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
    setImmediate(this.#turn);
  }
}
