/** Allocates the numbers of nodes and files. */

/**
 * The first of the numbers that no allocator returns. They are inode numbers of files whose nodes
 * are created anew at each lookup, from nothing but a name (fs/tree/nodes/match-directory.ts). V8
 * stores them as small integers, and they fit the 32 bits that fuse-native and some programs use
 * for an inode number.
 */
export const NAMED_FIRST = 2 ** 30;
/** How many numbers are reserved from {@link NAMED_FIRST} on. */
export const NAMED_COUNT = 2 ** 28;

/**
 * Allocates numbers, each only once. Node ids and inode numbers come from one allocator, so that no
 * number is both.
 */
export class IdAllocator {
  #last: number;

  /** @param last the last number that is already in use */
  constructor(last: number) {
    this.#last = last;
  }

  /** The last number in use. */
  get last(): number {
    return this.#last;
  }

  /** Goes on after a number that another daemon has used. */
  goOnAfter(last: number): void {
    this.#last = Math.max(this.#last, last);
  }

  /** Returns the next number. 2^53 numbers last for 285 years at a million a second. */
  next(): number {
    if (++this.#last === NAMED_FIRST) this.#last += NAMED_COUNT;
    return this.#last;
  }

  /**
   * Allocates several consecutive numbers.
   *
   * @returns the first of them
   */
  nextOf(count: number): number {
    if (this.#last < NAMED_FIRST && this.#last + count >= NAMED_FIRST)
      this.#last = NAMED_FIRST + NAMED_COUNT - 1;
    this.#last += count;
    return this.#last - count + 1;
  }
}
