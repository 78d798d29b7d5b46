/** Filter groups: the matches of one filter, counted and numbered once for all its streams. */
import type { Event, LogIndex } from '../event.js';
import type { Filter } from '../../uevent/filter/filter.js';
import type { Log } from '../log.js';
import { lowerBound } from '../../shared/lower-bound.js';

/** The initial capacity of `#numbers`. */
const FEWEST_NUMBERS = 16;
/** The result of `nextMatch` if no such event has come: below every number. */
const NO_MATCH = -1 as LogIndex;

/** All streams that have the same filter. An event is matched once for all of them. */
export class FilterGroup {
  /** How many events have matched since the group's first stream was opened. */
  matched = 0;
  /**
   * The numbers of the matched events in the ring, ascending: a circular buffer of `#count` numbers
   * from index `#first` on. Unused without a filter.
   */
  #numbers = new Float64Array(FEWEST_NUMBERS);
  #first = 0;
  #count = 0;

  /**
   * @param log the log that the streams read
   * @param filter the filter of all the streams
   */
  constructor(
    readonly log: Log,
    readonly filter: Filter,
  ) {}

  /**
   * Matches and counts an event that was just appended.
   * @returns whether the streams get it
   */
  take(event: Event): boolean {
    const { filter } = this;
    const wanted = filter.all || event.always || filter.matches(event);
    if (!wanted) return false;
    this.matched++;
    if (filter.all) return true;
    this.#forgetOvertaken();
    if (this.#count === this.#numbers.length) this.#grow();
    this.#numbers[(this.#first + this.#count++) % this.#numbers.length] = event.number;
    return true;
  }

  /**
   * Matches the events of the ring again that a daemon before this one has matched.
   * @param since the number of the first event that came after the group began
   * @param number the number before which `matched` events had matched
   */
  matchAgain(since: number, number: number, matched: number): void {
    const { log } = this;
    let more = 0;
    for (let n = Math.max(since, log.oldest); n < log.next; n++) {
      const event = log.at(n as LogIndex);
      const isMatch = this.take(event);
      event.dropCaches();
      if (isMatch && n >= number) more++;
    }
    this.matched = matched + more;
  }

  /** How many matched events are in the ring. Only with a filter. */
  get inRing(): number {
    this.#forgetOvertaken();
    return this.#count;
  }

  /** Returns how many matched events from `number` on are in the ring. */
  countFrom(number: LogIndex): number {
    const { log } = this;
    if (this.filter.all) return log.next - Math.max(number, log.oldest);
    return this.inRing - lowerBound(this.#numbers, this.#first, this.#count, number);
  }

  /** Returns the number of the first matched event from `number` on, or NO_MATCH. */
  nextMatch(number: LogIndex): LogIndex {
    const index = lowerBound(this.#numbers, this.#first, this.#count, number);
    return index < this.#count ? this.#at(index) : NO_MATCH;
  }

  #at(index: number): LogIndex {
    return this.#numbers[(this.#first + index) % this.#numbers.length] as LogIndex;
  }

  #forgetOvertaken(): void {
    const { oldest } = this.log;
    if (this.#count === 0 || this.#numbers[this.#first] >= oldest) return;
    // All numbers may be overtaken, and those of a thousand other groups too: so none is looked at.
    const overtaken = lowerBound(this.#numbers, this.#first, this.#count, oldest);
    this.#first = (this.#first + overtaken) % this.#numbers.length;
    this.#count -= overtaken;
  }

  /** Grows to one number for each event that the ring can hold, the amount charged per stream. */
  #grow(): void {
    const larger = new Float64Array(
      Math.min(2 * this.#count, Math.max(this.log.limits.events, FEWEST_NUMBERS)),
    );
    for (let i = 0; i < this.#count; i++) larger[i] = this.#at(i);
    this.#numbers = larger;
    this.#first = 0;
  }
}
