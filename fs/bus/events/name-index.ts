/**
 * Finds an event's number in the log by its name, also long after the event is gone: so a reader
 * that kept the name of the last event it saw can continue after it.
 *
 * An event is named by its SEQNUM if no event before it had one as high. Else its name is
 * `<SEQNUM>.<place>`, and the place is its number in the log, from 1. So no name is used twice,
 * with one exception: the kernel's event has its SEQNUM as its name even if an event that `log/` no
 * longer has was published under that SEQNUM before.
 */
import { partsOf } from '../../uevent/event-name.js';
import { NO_SEQNUM, type SeqNum } from '../../uevent/text.js';
import type { LogIndex } from '../event.js';
import { type Log, WEIGHED } from '../log.js';
import { lowerBound } from '../../shared/lower-bound.js';

/** For how many of the last events it knows the SEQNUMs that are names. */
const PLACES = WEIGHED;

/** The names of the last events. */
export class NameIndex {
  /** The highest SEQNUM up to and including each event, by its number. The values ascend. */
  readonly #highest = new Float64Array(PLACES);
  #last = -1 as SeqNum;
  /** The number of the next event. */
  #next = 0;
  /** The first number that the index knows. */
  #from = 0;

  /** The highest SEQNUM so far; -1 if there was none. */
  get highest(): SeqNum {
    return this.#last;
  }

  /** Begins with the event of that number, which is noted next. */
  beginAt(number: LogIndex): void {
    this.#from = this.#next = number;
  }

  /** Goes on after a SEQNUM that another daemon has seen. */
  goOnAfter(seqnum: SeqNum): void {
    this.#last = Math.max(this.#last, seqnum) as SeqNum;
  }

  /**
   * Notes that an event is about to be logged.
   * @param number its number: one more than in the last call
   * @param seqnum its SEQNUM; NaN if it has none
   * @returns whether the SEQNUM is above all before it
   */
  note(number: LogIndex, seqnum: SeqNum): boolean {
    const isNew = seqnum > this.#last; // false for NaN
    if (isNew) this.#last = seqnum;
    this.#highest[number % PLACES] = this.#last;
    this.#next = number + 1;
    return isNew;
  }

  /**
   * Notes an event of the last daemon.
   * @param number as in `note`
   */
  noteName(number: LogIndex, name: string): void {
    // `24.18` is no SEQNUM: the event had none, or one that was used before.
    const parts = partsOf(name);
    const isPlain = parts !== null && Number.isNaN(parts.place);
    this.note(number, isPlain ? (parts.seqnum as SeqNum) : NO_SEQNUM);
  }

  /**
   * Finds an event by its name.
   * @param newest the kernel's last SEQNUM: higher ones are of published events
   * @returns its number; undefined if no event of that name is known. For the SEQNUM of a published
   *   event from before the known names: the number before these
   */
  find(name: string, log: Log, newest: SeqNum): LogIndex | undefined {
    const parts = partsOf(name);
    if (parts === null) return undefined;
    if (Number.isNaN(parts.place)) return this.#named(parts.seqnum, newest);
    const number = (parts.place - 1) as LogIndex;
    if (number < 0 || number >= this.#next) return undefined;
    // A name of another mount, or from before a restart, has another SEQNUM.
    return number < log.oldest || log.at(number).name === name ? number : undefined;
  }

  #named(seqnum: number, newest: SeqNum): LogIndex | undefined {
    const oldest = Math.max(this.#from, this.#next - PLACES);
    const at = oldest + lowerBound(this.#highest, oldest % PLACES, this.#next - oldest, seqnum);
    if (at === oldest && oldest > 0)
      return seqnum > newest ? ((oldest - 1) as LogIndex) : undefined;
    const isNamed = at < this.#next && this.#highest[at % PLACES] === seqnum;
    return isNamed ? (at as LogIndex) : undefined;
  }
}
