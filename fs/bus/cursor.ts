/**
 * A stream's place in the log.
 *
 * It counts what the ring has overtaken, exactly, a filter or not: the group of all streams with one filter counts the
 * events that match (`matched`), a cursor those that it has passed (`#passed`). What is neither passed nor still in the
 * ring is lost.
 */
import type { Event, LogIndex } from './event.js';
import type { Filter } from '../uevent/filter/filter.js';
import type { Log } from './log.js';
import { PartialRecord, overflowRecord } from './record.js';
import type { Sink } from './sink.js';

/** Room for so many numbers of events is made at first. */
const FEWEST_NUMBERS = 16;
/** No event that matches has come yet: below every number. */
const NO_MATCH = -1 as LogIndex;

/** The streams that have the same filter: an event is matched once for all of them. */
export class FilterGroup {
  /** How many events have matched since the first of them was opened. */
  matched = 0;
  /** The numbers of those in the ring, ascending: `#count` in a circle, from the place `#first` on. Only where there is a filter. */
  #numbers = new Float64Array(FEWEST_NUMBERS);
  #first = 0;
  #count = 0;

  constructor(
    readonly log: Log,
    readonly filter: Filter,
  ) {}

  /** Takes note of an event that was just appended; gives whether it is for these streams. */
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

  /** How many that have matched are in the ring. */
  get inRing(): number {
    this.#forgetOvertaken();
    return this.#count;
  }

  /** The number of the first that has matched from `number` on, or NO_MATCH. */
  nextMatch(number: LogIndex): LogIndex {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#at(middle) < number) low = middle + 1;
      else high = middle;
    }
    return low < this.#count ? this.#at(low) : NO_MATCH;
  }

  #at(index: number): LogIndex {
    return this.#numbers[(this.#first + index) % this.#numbers.length] as LogIndex;
  }

  #forgetOvertaken(): void {
    const { oldest } = this.log;
    while (this.#count > 0 && this.#numbers[this.#first] < oldest) {
      this.#first = (this.#first + 1) % this.#numbers.length;
      this.#count--;
    }
  }

  /** At most what is charged for each stream: a number for each event that the ring can hold. */
  #grow(): void {
    const larger = new Float64Array(
      Math.min(2 * this.#count, Math.max(this.log.limits.events, FEWEST_NUMBERS)),
    );
    for (let i = 0; i < this.#count; i++) larger[i] = this.#at(i);
    this.#numbers = larger;
    this.#first = 0;
  }
}

export class Cursor {
  /** The number of the next event to look at. */
  #number: LogIndex;
  /** How many of the group's events lie before it: read, or told as lost. */
  #passed: number;
  /** Log.standInsBefore its place, which the ring may have taken since. */
  #standIns: number;
  /** How many lost events it has told of. */
  toldLost = 0;
  readonly #rest = new PartialRecord();

  /** Begins behind the newest event. */
  constructor(readonly group: FilterGroup) {
    this.#number = group.log.next;
    this.#passed = group.matched;
    this.#standIns = group.log.standInsBefore(this.#number);
  }

  /** Where it stands among the group's events, or -1 in the middle of a record: at the same place the same comes next. */
  get place(): number {
    return this.#rest.waiting ? -1 : this.#passed;
  }

  /** How many bytes are kept of a record whose beginning was read. */
  get restLength(): number {
    return this.#rest.length;
  }

  /** How many events the ring has taken from this stream, told or not. */
  get lost(): number {
    return this.toldLost + this.#missing();
  }

  /** How many events wait for this stream. */
  get pending(): number {
    return this.group.matched - this.#passed - this.#overtaken();
  }

  /** Whether `read` would put anything. */
  get ready(): boolean {
    return this.#rest.waiting || this.group.matched !== this.#passed;
  }

  /** Whether the next event has that number or a higher one, and nothing is to be told before it. */
  isFrom(number: LogIndex): boolean {
    if (this.#rest.waiting) return false;
    const { group } = this;
    return (
      (group.filter.all ? this.#number : group.nextMatch(this.#number)) >= number &&
      this.#overtaken() === 0
    );
  }

  /** Hands over whole records while there is room. Only the first of a read may be cut: the next read begins with its rest. */
  read(sink: Sink): void {
    const room = sink.room;
    if (!this.#rest.finish(sink)) return;
    if (!this.#tellLoss(sink, room)) return;
    if (this.group.filter.all) this.#readRuns(sink, room);
    else this.#readMatches(sink, room);
  }

  // ---- event by event, for who sends messages

  /** Whether events were lost before the next one. */
  get overtaken(): boolean {
    return this.#overtaken() > 0;
  }

  /** How many events were lost before the next one. They are told with this. */
  takeLoss(): number {
    const lost = this.#missing();
    if (lost === 0) return 0;
    const { log } = this.group;
    this.#passed += this.#overtaken();
    this.#number = log.oldest;
    this.#standIns = log.standInsBefore(log.oldest);
    this.toldLost += lost;
    return lost;
  }

  /** The next event, which it passes; undefined when there is none. Losses must have been taken. */
  next(): Event | undefined {
    const { group } = this;
    const number = group.filter.all ? this.#number : group.nextMatch(this.#number);
    if (number < 0 || number === group.log.next) return undefined;
    const event = group.log.at(number);
    this.#number = (number + 1) as LogIndex;
    this.#passed++;
    this.#standIns += event.weight - 1;
    return event;
  }

  /** Stands before `event`, where `other`, which has passed it and `after` more, has stood. */
  standBefore(event: Event, other: Cursor, after: number): void {
    this.#number = event.number;
    this.#passed = other.#passed - 1 - after;
    this.#standIns = this.group.log.standInsBefore(event.number);
  }

  /** Goes where `other` has got to: both stood at the same place, and `other` was read with the same room and lost `lost`. */
  follow(other: Cursor, lost: number): void {
    this.#number = other.#number;
    this.#passed = other.#passed;
    this.#standIns = other.#standIns;
    this.#rest.follow(other.#rest);
    this.toldLost += lost;
  }

  /** Everything: what lies in one piece goes in one piece. */
  #readRuns(sink: Sink, roomAtFirst: number): void {
    const log = this.group.log;
    while (this.#number < log.next && sink.room > 0) {
      const first = log.at(this.#number);
      const end = log.run(this.#number, sink.room);
      if (end === this.#number) {
        if (sink.room === roomAtFirst) this.#pass(sink, first);
        return;
      }
      const last = log.at((end - 1) as LogIndex);
      sink.put(log.memory, first.start, last.start + last.recordLength - first.start);
      this.#passed += end - this.#number;
      this.#number = end;
      this.#standIns = log.standInsBefore(end);
    }
  }

  #readMatches(sink: Sink, roomAtFirst: number): void {
    const { group } = this;
    while (sink.room > 0) {
      const number = group.nextMatch(this.#number);
      if (number < 0) return;
      const event = group.log.at(number);
      if (event.recordLength > sink.room && sink.room !== roomAtFirst) return;
      this.#pass(sink, event);
    }
  }

  #pass(sink: Sink, event: Event): void {
    this.#number = (event.number + 1) as LogIndex;
    this.#passed++;
    this.#standIns += event.weight - 1;
    this.#rest.put(sink, event.bytes, event.start, event.recordLength);
  }

  /** Puts a record where events are missing; false when there is no room for anything more. */
  #tellLoss(sink: Sink, roomAtFirst: number): boolean {
    const lost = this.#missing();
    if (lost === 0) return true;
    const record = overflowRecord(lost);
    if (record.length > sink.room && sink.room !== roomAtFirst) return false;
    this.takeLoss();
    return this.#rest.put(sink, record, 0, record.length);
  }

  /** How many of the group's events the ring has taken since the last read. */
  #overtaken(): number {
    const { group } = this;
    const gone = group.log.oldest - this.#number;
    if (gone <= 0) return 0;
    return group.filter.all ? gone : group.matched - group.inRing - this.#passed;
  }

  /** How many events are lost with those, of which some may have told of others. */
  #missing(): number {
    const { log } = this.group;
    const overtaken = this.#overtaken();
    return overtaken === 0 ? 0 : overtaken + log.standInsBefore(log.oldest) - this.#standIns;
  }
}
