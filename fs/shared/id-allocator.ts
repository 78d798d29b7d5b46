/**
 * Numbers that no allocator gives: inode numbers of files whose nodes are made anew at each lookup, from
 * nothing but a name (fs/tree/nodes/match-directory.ts). They are small integers to V8, and fit the 32
 * bits that fuse-native and some programs have for an inode number.
 */
export const NAMED_FIRST = 2 ** 30;
export const NAMED_COUNT = 2 ** 28;

/** Numbers, each of which is given once: node ids and inode numbers come from one allocator, so that none is both. */
export class IdAllocator {
  #last: number;

  /** @param last the last number that is taken already */
  constructor(last: number) {
    this.#last = last;
  }

  /** The next number. 2^53 of them last for 285 years at a million a second. */
  next(): number {
    if (++this.#last === NAMED_FIRST) this.#last += NAMED_COUNT;
    return this.#last;
  }

  /**
   * Takes several numbers in a row.
   * @returns the first of them
   */
  nextOf(count: number): number {
    if (this.#last < NAMED_FIRST && this.#last + count >= NAMED_FIRST)
      this.#last = NAMED_FIRST + NAMED_COUNT - 1;
    this.#last += count;
    return this.#last - count + 1;
  }
}
