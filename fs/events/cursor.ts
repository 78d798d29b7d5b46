/**
 * A stream's place in the log.
 *
 * It counts what the ring has overtaken, exactly, a filter or not: the group of all streams with one filter counts the
 * events that match (`matched`), a cursor those that it has passed (`#passed`). What is neither passed nor still in the
 * ring is lost.
 */
import type { Event } from './event.js';
import type { Filter } from './filter.js';
import type { Log } from './log.js';
import { Remainder, overflowRecord } from './record.js';
import type { Sink } from './sink.js';

/** The streams that have the same filter. */
export class Audience {
  /** How many events have matched since the first of them was opened. */
  matched = 0;

  constructor(
    readonly log: Log,
    readonly filter: Filter,
  ) {}

  /** Whether the event is for these streams. */
  wants(event: Event): boolean {
    if (this.filter.all || event.always) return true;
    const wanted = this.filter.matches(event);
    event.settle();
    return wanted;
  }

  /** Counts an event that was just appended; gives whether it is for these streams. */
  take(event: Event): boolean {
    const wanted = this.filter.all || event.always || this.filter.matches(event);
    if (wanted) this.matched++;
    return wanted;
  }
}

export class Cursor {
  /** The number of the next event to look at. */
  #number: number;
  /** How many of the audience's events lie before it: read, or told as lost. */
  #passed: number;
  /** How many lost events it has told of. */
  toldLost = 0;
  readonly #rest = new Remainder();

  /** Begins behind the newest event. */
  constructor(readonly audience: Audience) {
    this.#number = audience.log.next;
    this.#passed = audience.matched;
  }

  /** Where it stands: the number of the next event, or -1 in the middle of a record. */
  get place(): number {
    return this.#rest.waiting ? -1 : this.#number;
  }

  /** How many events the ring has taken from this stream, told or not. */
  get lost(): number {
    return this.toldLost + this.#overtaken();
  }

  /** How many events wait for this stream. */
  get pending(): number {
    return this.audience.matched - this.#passed - this.#overtaken();
  }

  /** Whether `read` would put anything. */
  get ready(): boolean {
    if (this.#rest.waiting || this.audience.matched !== this.#passed) return true;
    // Nothing up to here was for this stream: it need not look at it again, nor lose it.
    this.#number = this.audience.log.next;
    return false;
  }

  /** Hands over whole records while there is room. Only the first of a read may be cut: the next read begins with its rest. */
  read(sink: Sink): void {
    const room = sink.room;
    if (!this.#rest.finish(sink)) return;
    if (!this.#tellLoss(sink, room)) return;
    if (this.audience.filter.all) this.#readRuns(sink, room);
    else this.#readMatches(sink, room);
  }

  /** Goes where `other` has got to: both stood at the same place, and `other` was read with the same room and lost `lost`. */
  follow(other: Cursor, lost: number): void {
    this.#number = other.#number;
    this.#passed = other.#passed;
    this.#rest.follow(other.#rest);
    this.toldLost += lost;
  }

  /** Everything: what lies in one piece goes in one piece. */
  #readRuns(sink: Sink, roomAtFirst: number): void {
    const log = this.audience.log;
    while (this.#number < log.next && sink.room > 0) {
      const first = log.at(this.#number);
      const end = log.run(this.#number, sink.room);
      if (end === this.#number) {
        if (sink.room === roomAtFirst) this.#pass(sink, first);
        return;
      }
      const last = log.at(end - 1);
      sink.put(log.memory, first.start, last.start + last.recordLength - first.start);
      this.#passed += end - this.#number;
      this.#number = end;
    }
  }

  #readMatches(sink: Sink, roomAtFirst: number): void {
    const log = this.audience.log;
    while (this.#number < log.next && sink.room > 0) {
      const event = log.at(this.#number);
      if (!this.audience.wants(event)) {
        this.#number++;
        continue;
      }
      if (event.recordLength > sink.room && sink.room !== roomAtFirst) return;
      this.#pass(sink, event);
    }
  }

  #pass(sink: Sink, event: Event): void {
    this.#number++;
    this.#passed++;
    this.#rest.put(sink, event.bytes, event.start, event.recordLength);
  }

  /** Puts a record where events are missing; false when there is no room for anything more. */
  #tellLoss(sink: Sink, roomAtFirst: number): boolean {
    const lost = this.#overtaken();
    if (lost === 0) {
      // A filter may have turned away all that was overtaken.
      this.#number = Math.max(this.#number, this.audience.log.oldest);
      return true;
    }
    const record = overflowRecord(lost);
    if (record.length > sink.room && sink.room !== roomAtFirst) return false;
    this.#number = this.audience.log.oldest;
    this.#passed += lost;
    this.toldLost += lost;
    return this.#rest.put(sink, record, 0, record.length);
  }

  /** How many of the audience's events the ring has taken since the last read. */
  #overtaken(): number {
    const { log, filter, matched } = this.audience;
    const gone = log.oldest - this.#number;
    if (gone <= 0) return 0;
    if (filter.all) return gone;
    let inRing = 0;
    for (let number = log.oldest; number < log.next; number++) if (this.audience.wants(log.at(number))) inRing++;
    return matched - inRing - this.#passed;
  }
}

