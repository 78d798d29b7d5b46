/**
 * Maps SEQNUMs to numbers in the log, for the last events: so a client that comes late can ask for
 * the events after a given SEQNUM.
 */
import type { SeqNum } from '../../uevent/text.js';
import type { LogIndex } from '../event.js';
import { WEIGHED } from '../log.js';
import { lowerBound } from '../../shared/lower-bound.js';

/** For how many of the last events it knows them: as many as the log knows weights of. */
const PLACES = WEIGHED;

/** The kernel's last SEQNUM before each of the last events. */
export class SeqnumIndex {
  /** The kernel's last SEQNUM before each event, by the event's number. The values ascend. */
  readonly #seqnumBefore = new Float64Array(PLACES);
  /** 1 for each overflow record, by its number. */
  readonly #isLoss = new Uint8Array(PLACES);
  /** The number of the next event. */
  #next = 0 as LogIndex;
  /** The first number that the index knows. */
  #from = 0 as LogIndex;

  /**
   * Notes that an event was logged.
   * @param number its number: one more than in the last call
   * @param seqnumBefore the kernel's last SEQNUM before the event
   * @param isLoss whether it is an overflow record
   */
  note(number: LogIndex, seqnumBefore: SeqNum, isLoss: boolean): void {
    this.#seqnumBefore[number % PLACES] = seqnumBefore;
    this.#isLoss[number % PLACES] = isLoss ? 1 : 0;
    this.#next = (number + 1) as LogIndex;
  }

  /** Begins with the event of that number, which is noted next. */
  beginAt(number: LogIndex): void {
    this.#from = this.#next = number;
  }

  /**
   * Returns the kernel's last SEQNUM before an event, or before the oldest event that it knows.
   * @returns undefined for the next event
   */
  before(number: LogIndex): SeqNum | undefined {
    if (number >= this.#next) return undefined;
    return this.#seqnumBefore[Math.max(number, this.#next - PLACES, this.#from) % PLACES] as SeqNum;
  }

  /**
   * Finds the first event after the kernel's event `seqnum`. If that event never came, the result
   * is the first later event that did, or the first of the overflow records just before it: they
   * may state the loss of SEQNUMs in between.
   * @param seqnum the SEQNUM of the event before the first one wanted
   * @param last a later SEQNUM: the events behind it are not wanted
   * @param newest the kernel's last SEQNUM
   * @returns `number`: the number of that event; `unknown`: 0, or if the event may have come before
   *   the index begins, how many events came in between by the kernel's count
   */
  after(
    seqnum: SeqNum,
    last: SeqNum,
    newest: SeqNum,
  ): { readonly number: LogIndex; readonly unknown: number } {
    if (this.#next === this.#from) return { number: this.#next, unknown: last - seqnum };
    const oldest = Math.max(this.#from, this.#next - PLACES) as LogIndex;
    let low = oldest + lowerBound(this.#seqnumBefore, oldest % PLACES, this.#next - oldest, seqnum);
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
