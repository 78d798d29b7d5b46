/**
 * Copies all that lives to the other half of the journal, in small steps between transactions: in
 * turns of the tree, and as fast as the journal grows under load.
 */
import { clock } from '../shared/clock.js';
import type { Journal } from './journal.js';

/** How many things one step copies at most: about 10 us of work if they are small. */
const THINGS_A_STEP = 16;
/** A step ends once it has copied this much, in 8-byte words: a thing may have 64 KiB or more. */
const WORDS_A_STEP = 2048;
/**
 * How many words are copied for each word by which the journal grows. A compaction of the largest
 * state then ends before its half is full.
 */
const COPIED_A_WORD = 8;
/** How long one request copies at most, in milliseconds. */
const MOST_MS = 1;

/** A thing whose state is recorded. */
export interface Recorded {
  /** Whether the next commit records it. */
  isMarked: boolean;
  /** Writes the records of the thing as it is now: its drop, if it has ended. */
  record(journal: Journal): void;
}

/** The compaction of one journal. */
export class Compaction {
  /** Walks over all that lives; null while there is no compaction. */
  #walk: Iterator<Recorded> | null = null;
  /** The length of the journal up to which the copies have kept pace, in 8-byte words. */
  #pacedTo = 0;
  /** How many words were copied beyond those that the journal's growth allows; 0 or negative. */
  #owed = 0;

  constructor(private readonly journal: Journal) {}

  /** Whether a compaction has begun and is not done. */
  get isUnderWay(): boolean {
    return this.#walk !== null;
  }

  /**
   * Begins a compaction, between two transactions.
   * @param walk visits all that lives
   */
  begin(walk: Iterator<Recorded>): void {
    this.#walk = walk;
    this.#pacedTo = this.journal.length;
    this.#owed = 0;
    this.journal.beginCompaction();
  }

  /**
   * Copies in proportion to the growth of the journal. Under load the turns between requests come
   * too seldom, and the journal would grow faster than the compaction.
   */
  keepPace(): void {
    const { length } = this.journal;
    let words = this.#owed + COPIED_A_WORD * (length - this.#pacedTo);
    this.#pacedTo = length;
    if (words > 0) {
      const endMs = clock.monotonicMs() + MOST_MS;
      do words -= this.step(words);
      while (words > 0 && this.#walk !== null && clock.monotonicMs() < endMs);
    }
    this.#owed = Math.min(words, 0);
  }

  /**
   * Copies a few things, and ends the compaction after the last one.
   * @param most how many words are enough
   * @returns how many words it has copied
   */
  step(most = WORDS_A_STEP): number {
    const { journal } = this;
    const walk = this.#walk!;
    let isDone = false;
    let copied = 0;
    journal.keep(() => {
      const start = journal.length; // of the other half
      const enough = Math.min(most, WORDS_A_STEP);
      for (let n = 0; n < THINGS_A_STEP && copied < enough && !isDone; n++) {
        const next = walk.next();
        if (next.done === true) isDone = true;
        else next.value.record(journal);
        copied = journal.length - start;
      }
    });
    if (isDone) {
      this.#walk = null;
      journal.endCompaction();
    }
    return copied;
  }
}
