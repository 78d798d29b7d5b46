/** Numbers, each of which is given once: node ids and inode numbers come from one allocator, so that none is both. */
export class IdAllocator {
  #last: number;

  /** @param last the last number that is taken already */
  constructor(last: number) {
    this.#last = last;
  }

  /** The next number. 2^53 of them last for 285 years at a million a second. */
  next(): number {
    return ++this.#last;
  }
}
