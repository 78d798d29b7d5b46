/**
 * Ends blocked reads with EINTR before they are so old that the kernel ends the connection
 * (shared/kernel/request-timeout.ts). Most programs repeat such a read. The timer runs only while
 * reads are parked; an answer before that costs nothing.
 */
import type { ParkedRead } from '../../tree/nodes/node.js';
import type { ReadAges } from './hand-over/read-ages.js';
import { uniqueOf } from './unique.js';
import type { ParkedReads } from './parked-reads.js';

/** Reads that are due within this time end together. */
const TOGETHER_MS = 1000;
/** The most reads that end before the daemon serves requests again. */
const MOST_AT_ONCE = 64;

/** Knows the age of each parked read, and ends the old ones. */
export class ReadExpiry {
  /** How many reads it has ended, for `.status`. */
  ended = 0;
  /** When the read in each slot was parked, in milliseconds of CLOCK_MONOTONIC. */
  readonly #parkedAtMs: Float64Array;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param most how many reads may be parked
   * @param lifeMs how long a read may be parked
   * @param interrupt ends a parked read with EINTR
   * @param ages knows the age of the reads of the last daemon; null without a guardian
   */
  constructor(
    private readonly parked: Pick<ParkedReads, 'slots' | 'at' | 'words'>,
    most: number,
    private readonly lifeMs: number,
    private readonly interrupt: (read: ParkedRead) => void,
    private readonly ages: ReadAges | null = null,
  ) {
    this.#parkedAtMs = new Float64Array(most);
  }

  /**
   * Notes that a read is parked in a slot.
   * @param mayBeResent whether the last daemon may have parked it already
   */
  note(slot: number, mayBeResent = false): void {
    const nowMs = monotonicMs();
    this.#parkedAtMs[slot] = nowMs;
    this.#timer ??= setTimeout(this.#look, this.lifeMs);
    if (this.ages === null) return;
    const { words } = this.parked;
    const unique = uniqueOf(words[2 * slot], words[2 * slot + 1]);
    if (mayBeResent) this.#parkedAtMs[slot] = this.ages.notBefore(unique);
    else this.ages.note(unique, nowMs);
  }

  /** Called once all reads of the last daemon are here: some may be due soon. */
  restored(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#look, 0);
  }

  /** Stops the timer. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #look = (): void => {
    this.#timer = null;
    const nowMs = monotonicMs();
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

/** Returns the time of CLOCK_MONOTONIC, which all processes of the machine share. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
