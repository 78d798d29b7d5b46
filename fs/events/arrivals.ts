/**
 * When the last events came, told in SEQNUMs: so that who comes late can ask for what came after one of them, and is told
 * exactly how many of those nobody has any more.
 */
import type { Event } from './event.js';

/** How many events back it knows; a late joiner's history is much shorter. */
const PLACES = 16 * 1024;

export class Arrivals {
  /** By number: the kernel's last SEQNUM before the event. Never falls. */
  readonly #seqnumBefore = new Float64Array(PLACES);
  /** By number: the weight of all events before it. */
  readonly #weightBefore = new Float64Array(PLACES);
  #weight = 0;
  #next = 0;

  /** An event was logged; they come in the order of their numbers, without gaps. */
  note(event: Event, seqnumBefore: number): void {
    const place = event.number % PLACES;
    this.#seqnumBefore[place] = seqnumBefore;
    this.#weightBefore[place] = this.#weight;
    this.#weight += event.weight;
    this.#next = event.number + 1;
  }

  /**
   * The number of the first event that came after the kernel's event `seqnum`. Where it may have come before what is known
   * here, `unknown` is how many there were in between by the kernel's count.
   * @param last a later SEQNUM, behind which nothing is asked for
   */
  after(seqnum: number, last: number): { readonly number: number; readonly unknown: number } {
    if (this.#next === 0) return { number: 0, unknown: last - seqnum };
    const oldest = Math.max(0, this.#next - PLACES);
    let low = oldest;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#seqnumBefore[middle % PLACES] < seqnum) low = middle + 1;
      else high = middle;
    }
    const isKnown = low > oldest || low === this.#next;
    return { number: low, unknown: isKnown ? 0 : Math.min(last, this.#seqnumBefore[low % PLACES]) - seqnum };
  }

  /** The weight of all events before the one with that number, which is one that `after` has given, or a later one. */
  weightBefore(number: number): number {
    return number === this.#next ? this.#weight : this.#weightBefore[number % PLACES];
  }
}
