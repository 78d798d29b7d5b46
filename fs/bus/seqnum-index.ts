/** When the last events came, told in SEQNUMs: so that who comes late can ask for what came after one of them. */
import type { SeqNum } from '../uevent/text.js';
import type { LogIndex } from './event.js';
import { WEIGHED } from './log.js';

/** How many events back it knows: of as many the log knows how many there were (`Log.weightBefore`). */
const PLACES = WEIGHED;

export class SeqnumIndex {
  /** By number: the kernel's last SEQNUM before the event. Never falls. */
  readonly #seqnumBefore = new Float64Array(PLACES);
  /** By number: whether it tells of lost events. */
  readonly #isLoss = new Uint8Array(PLACES);
  #next = 0;

  /** An event was logged; they come in the order of their numbers, without gaps. */
  note(number: LogIndex, seqnumBefore: SeqNum, isLoss: boolean): void {
    this.#seqnumBefore[number % PLACES] = seqnumBefore;
    this.#isLoss[number % PLACES] = isLoss ? 1 : 0;
    this.#next = number + 1;
  }

  /**
   * The number of the first event that came after the kernel's event `seqnum`. Where that one never came, and a later one is the first
   * that did, it is that later one, with the record of a loss just before it, which may be of numbers in between. Where it may have come before what is known
   * here, `unknown` is how many there were in between by the kernel's count.
   * @param last a later SEQNUM, behind which nothing is asked for
   * @param newest the kernel's last SEQNUM
   */
  after(
    seqnum: SeqNum,
    last: SeqNum,
    newest: SeqNum,
  ): { readonly number: LogIndex; readonly unknown: number } {
    if (this.#next === 0) return { number: 0 as LogIndex, unknown: last - seqnum };
    const oldest = Math.max(0, this.#next - PLACES);
    let low = oldest;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#seqnumBefore[middle % PLACES] < seqnum) low = middle + 1;
      else high = middle;
    }
    const isKnown = low > oldest || low === this.#next;
    const passedBy = low === this.#next ? newest : this.#seqnumBefore[low % PLACES];
    if (low > oldest && passedBy > seqnum) {
      low--;
      while (low > oldest && this.#isLoss[(low - 1) % PLACES] === 1) low--;
    }
    return {
      number: low as LogIndex,
      unknown: isKnown ? 0 : Math.min(last, this.#seqnumBefore[low % PLACES]) - seqnum,
    };
  }
}
