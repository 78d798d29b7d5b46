/** The blocked reads of one queue or filter. */
import { ASSERTS, broken } from '../../shared/invariant.js';
import type { ParkedRead } from '../nodes/node.js';

/**
 * Blocked reads, in the order in which they came. A thousand reads may come and go for each event,
 * so the list is linked through the reads themselves: a Set would hash each of them.
 */
export class ReadList {
  /** The read that has waited longest. A loop follows `next`. */
  first: ParkedRead | null = null;
  #last: ParkedRead | null = null;
  #size = 0;

  /** The number of reads. */
  get size(): number {
    return this.#size;
  }

  /** Adds a read at the end. It must be in no list. */
  add(read: ParkedRead): void {
    if (ASSERTS && read.list !== null) broken(`the read in slot ${read.slot} blocks twice`);
    const last = this.#last;
    read.list = this;
    read.previous = last;
    if (last === null) this.first = read;
    else last.next = read;
    this.#last = read;
    this.#size++;
  }

  /** Removes a read, if the list holds it. */
  delete(read: ParkedRead): void {
    if (read.list !== this) return;
    const { previous, next } = read;
    if (previous === null) this.first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    read.list = read.previous = read.next = null;
    this.#size--;
  }
}
