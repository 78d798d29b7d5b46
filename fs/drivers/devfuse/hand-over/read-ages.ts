/**
 * How old the parked reads of the last daemon are. The kernel counts the age of a request from its
 * beginning, also across restarts, and does not tell it. It numbers requests in order: so the last
 * known time of a lower number is a bound.
 *
 * Pairs of a number and a time are in the memory of the state, in milliseconds of CLOCK_MONOTONIC.
 */

/** How many pairs there are for the longest time that a read may block. */
const PAIRS_A_LIFE = 12;

/** The pairs of one state. */
export class ReadAges {
  /** The next pair to write, and when the last one was written. */
  #next = 0;
  #lastMs = -Infinity;
  readonly #stepMs: number;

  /**
   * @param pairs the memory: a multiple of two numbers, at least PAIRS_A_LIFE pairs and a few more
   * @param lifeMs how long a read may block, in milliseconds
   */
  constructor(
    private readonly pairs: Float64Array,
    lifeMs: number,
  ) {
    this.#stepMs = lifeMs / PAIRS_A_LIFE;
    for (let at = 0; at < pairs.length; at += 2)
      if (pairs[at] > 0 && pairs[at + 1] > this.#lastMs) {
        this.#lastMs = pairs[at + 1];
        this.#next = (at + 2) % pairs.length;
      }
  }

  /** Notes that the kernel has sent the request `unique` just now. */
  note(unique: number, nowMs: number): void {
    if (nowMs - this.#lastMs < this.#stepMs) return;
    const { pairs } = this;
    const at = this.#next;
    pairs[at] = 0; // a daemon that is killed here leaves no wrong pair
    pairs[at + 1] = nowMs;
    pairs[at] = unique;
    this.#lastMs = nowMs;
    this.#next = (at + 2) % pairs.length;
  }

  /** Returns a time before which the request `unique` did not begin; -Infinity if none is known. */
  notBefore(unique: number): number {
    const { pairs } = this;
    let latest = -Infinity;
    for (let at = 0; at < pairs.length; at += 2)
      if (pairs[at] > 0 && pairs[at] <= unique && pairs[at + 1] > latest) latest = pairs[at + 1];
    return latest;
  }
}
