/**
 * Ends blocked reads with EINTR before they are so old that the kernel ends the connection
 * (shared/kernel/request-timeout.ts). Most programs repeat such a read. The timer runs only while
 * reads are parked; an answer before that costs nothing.
 */
import type { ParkedRead } from '../../tree/nodes/node.js';
import type { ParkedReads } from './parked-reads.js';

/** Reads that are due within this time end together. */
const TOGETHER_MS = 1000;
/** The most reads that end before the daemon serves requests again. */
const MOST_AT_ONCE = 64;

/** Knows the age of each parked read, and ends the old ones. */
export class ReadExpiry {
  /** How many reads it has ended, for `.status`. */
  ended = 0;
  /** When the read in each slot was parked (performance.now()). */
  readonly #parkedAtMs: Float64Array;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param most how many reads may be parked
   * @param lifeMs how long a read may be parked
   * @param interrupt ends a parked read with EINTR
   */
  constructor(
    private readonly parked: Pick<ParkedReads, 'slots' | 'at'>,
    most: number,
    private readonly lifeMs: number,
    private readonly interrupt: (read: ParkedRead) => void,
  ) {
    this.#parkedAtMs = new Float64Array(most);
  }

  /** Notes that a read is parked in a slot. */
  note(slot: number): void {
    this.#parkedAtMs[slot] = performance.now();
    this.#timer ??= setTimeout(this.#look, this.lifeMs);
  }

  /** Stops the timer. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #look = (): void => {
    this.#timer = null;
    const nowMs = performance.now();
    const dueMs = nowMs - this.lifeMs + Math.min(TOGETHER_MS, this.lifeMs / 2);
    let left = MOST_AT_ONCE;
    let oldestMs = Infinity;
    for (let slot = 0; slot < this.parked.slots; slot++) {
      const read = this.parked.at(slot);
      if (read === undefined) continue;
      const parkedMs = this.#parkedAtMs[slot];
      if (parkedMs <= dueMs && left > 0) {
        left--;
        this.ended++;
        this.interrupt(read);
      } else if (parkedMs < oldestMs) oldestMs = parkedMs;
    }
    if (oldestMs < Infinity)
      this.#timer ??= setTimeout(this.#look, Math.max(0, oldestMs + this.lifeMs - nowMs));
  };
}
