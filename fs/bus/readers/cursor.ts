/**
 * A stream's place in the log.
 *
 * A cursor counts the events that the ring overwrites before the stream has read them, exactly,
 * with a filter or without. The group of all streams with one filter counts the events that match
 * (`matched`), a cursor those that it has passed (`#passed`). An event that is neither passed nor
 * in the ring is lost.
 */
import type { Event, LogIndex } from '../event.js';
import type { FilterGroup } from './filter-group.js';
import { PartialRecord, overflowRecord } from './record.js';
import type { Journal } from '../../state/journal.js';
import { type Fields, Kind } from '../../state/schema.js';
import type { Sink } from '../sink.js';
import { ASSERTS, broken } from '../../shared/invariant.js';

const NO_OTHERS = new Int32Array(0);

/**
 * One stream's place in the log, with the count of the events that the stream has lost. Whenever
 * the group has seen all events of the log:
 *
 *   group.matched = #passed + #overtaken() + group.countFrom(#number)
 *   #standIns     = log.standInsBefore(#number), while `#number` is in the ring
 */
export class Cursor {
  /** The number of the next event to look at. */
  #number: LogIndex;
  /** How many of the group's events the cursor has passed: read, or stated as lost. */
  #passed: number;
  /**
   * The result of `Log.standInsBefore(#number)`. The cursor keeps it, because the log may have
   * dropped that number since.
   */
  #standIns: number;
  /** How many lost events the stream has stated. */
  toldLost = 0;
  readonly #rest = new PartialRecord();

  /**
   * Begins behind the newest event.
   * @param group the group of the stream's filter
   */
  constructor(readonly group: FilterGroup) {
    this.#number = group.log.next;
    this.#passed = group.matched;
    this.#standIns = group.log.standInsBefore(this.#number);
  }

  /**
   * The place among the group's events, or -1 in the middle of a record. Cursors of one group at
   * the same place read the same records next.
   */
  get place(): number {
    return this.#rest.waiting ? -1 : this.#passed;
  }

  /** How many bytes are kept of a record whose beginning the reader has. */
  get restLength(): number {
    return this.#rest.length;
  }

  /** How many events this stream has lost, stated or not. */
  get lost(): number {
    return this.toldLost + this.#missing();
  }

  /** How many events wait for this stream in the ring. */
  get pending(): number {
    return this.group.matched - this.#passed - this.#overtaken();
  }

  /** Whether `read` would put any bytes. */
  get ready(): boolean {
    return this.#rest.waiting || this.group.matched !== this.#passed;
  }

  /**
   * Returns whether the next event has a number of at least `number`, and neither the rest of a
   * record nor a loss comes before it.
   */
  isFrom(number: LogIndex): boolean {
    if (this.#rest.waiting) return false;
    const { group } = this;
    return (
      (group.filter.all ? this.#number : group.nextMatch(this.#number)) >= number &&
      this.#overtaken() === 0
    );
  }

  /**
   * Puts whole records while there is room. Only the first record of a read may be cut: the next
   * read begins with its rest. A loss becomes an overflow record.
   * @param sink the reader's buffer
   */
  read(sink: Sink): void {
    if (ASSERTS) this.#check();
    const room = sink.room;
    if (!this.#rest.finish(sink)) return;
    if (!this.#tellLoss(sink, room)) return;
    if (this.group.filter.all) this.#readRuns(sink, room);
    else this.#readMatches(sink, room);
  }

  // ---- event by event, for outlets that send messages

  /** Whether the ring has overwritten events before the next one. */
  get overtaken(): boolean {
    return this.#overtaken() > 0;
  }

  /**
   * Moves to the oldest event in the ring if events before it are lost. The caller must state the
   * loss to the subscriber.
   * @returns how many events were lost before the next one, 0 if none
   */
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

  /**
   * Passes the next event. The caller must call `takeLoss` first.
   * @returns the event, or undefined if there is none
   */
  next(): Event | undefined {
    if (ASSERTS) this.#check();
    const { group } = this;
    const number = group.filter.all ? this.#number : group.nextMatch(this.#number);
    if (number < 0 || number === group.log.next) return undefined;
    const event = group.log.at(number);
    this.#number = (number + 1) as LogIndex;
    this.#passed++;
    this.#standIns += event.weight - 1;
    return event;
  }

  /**
   * Moves this cursor to just before `event`.
   * @param event an event of the group, still in the ring
   * @param other a cursor of the same group that has passed the event; may be this one
   * @param after the number of the group's events that lie between `event` and the place of `other`
   */
  standBefore(event: Event, other: Cursor, after: number): void {
    this.#number = event.number;
    this.#passed = other.#passed - 1 - after;
    this.#standIns = this.group.log.standInsBefore(event.number);
    if (ASSERTS) this.#check();
  }

  /**
   * Moves this cursor to where another has got by a read or by `next`.
   * @param other a cursor of the same group. Both were at the same place before, and `other` was
   *   read with the same room as this stream has.
   * @param lost how many events `other` has stated as lost since then
   */
  follow(other: Cursor, lost: number): void {
    this.#number = other.#number;
    this.#passed = other.#passed;
    this.#standIns = other.#standIns;
    this.#rest.follow(other.#rest);
    this.toldLost += lost;
    if (ASSERTS) this.#check();
  }

  /**
   * Records the place.
   * @param fh the number of the open file, which is the key of the record
   * @param others the numbers of more open files whose places are the same
   * @param count how many there are
   */
  record(journal: Journal, fh: number, others = NO_OTHERS, count = 0): void {
    journal
      .begin(Kind.cursor)
      .number(fh)
      .number(this.#number)
      .number(this.#passed)
      .number(this.#standIns)
      .number(this.toldLost);
    this.#rest.record(journal).integers(others, count).end();
  }

  /** Moves to a place that the last daemon has recorded. */
  restore({ number, passed, standIns, toldLost, rest }: Fields<'cursor'>): void {
    this.#number = number as LogIndex;
    this.#passed = passed;
    this.#standIns = standIns;
    this.toldLost = toldLost;
    this.#rest.restore(rest);
    if (ASSERTS) this.#check();
  }

  #check(): void {
    const { group } = this;
    const { log } = group;
    const [overtaken, waiting] = [this.#overtaken(), group.countFrom(this.#number)];
    if (group.matched !== this.#passed + overtaken + waiting)
      broken(
        `of ${group.matched} events a cursor has passed ${this.#passed}, ${overtaken} are overtaken, and ${waiting} wait`,
      );
    if (this.#number >= log.oldest && this.#standIns !== log.standInsBefore(this.#number))
      broken(`a cursor at ${this.#number} counts ${this.#standIns} stand-ins`);
  }

  /** Reads without a filter: each contiguous run of records is one `put`. */
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

  /**
   * Puts an overflow record if events are missing.
   * @returns false if there is no room for more
   */
  #tellLoss(sink: Sink, roomAtFirst: number): boolean {
    const lost = this.#missing();
    if (lost === 0) return true;
    const record = overflowRecord(lost);
    if (record.length > sink.room && sink.room !== roomAtFirst) return false;
    this.takeLoss();
    return this.#rest.put(sink, record, 0, record.length);
  }

  /** Returns how many of the group's unread events the ring has overwritten. */
  #overtaken(): number {
    const { group } = this;
    const gone = group.log.oldest - this.#number;
    if (gone <= 0) return 0;
    return group.filter.all ? gone : group.matched - group.inRing - this.#passed;
  }

  /**
   * Returns how many events are lost with the overtaken ones: an overflow record among them counts
   * for the events that it states.
   */
  #missing(): number {
    const { log } = this.group;
    const overtaken = this.#overtaken();
    return overtaken === 0 ? 0 : overtaken + log.standInsBefore(log.oldest) - this.#standIns;
  }
}
