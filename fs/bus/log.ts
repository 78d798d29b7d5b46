/**
 * The log: the text of every event, appended once to one ring, numbered from 0.
 *
 * A stream is a cursor, that is a number, into the log. Records are contiguous, so a reader that
 * lags gets many events as one slice. A record never wraps: if it does not fit before the ring's
 * end, it goes to the ring's beginning.
 */
import { Arena } from './arena.js';
import { Event, type LogIndex } from './event.js';
import type { Timestamp } from '../shared/timestamp.js';
import { LF } from '../shared/ascii.js';
import { checksumBytes } from '../state/checksum.js';
import { ASSERTS, broken } from '../shared/invariant.js';
import type { Recorder } from '../state/recorder.js';

/**
 * How many bytes of the ring are free before each request, if the log is recorded: more than one
 * request can add. The ring must not overwrite what the last commit still refers to.
 */
export const RESERVE_BYTES = 320 * 1024;

/**
 * For how many of the last events the log knows the weights, even if the ring holds fewer events.
 * The history that `.since` can replay is much shorter.
 */
export const WEIGHED = 16 * 1024;

/** The size of the log's ring. */
export interface LogLimits {
  /** The ring's size in bytes. */
  readonly bytes: number;
  /** The most events the ring remembers. */
  readonly events: number;
}

/**
 * The ring, and the events whose text it holds. At any time:
 *
 *   0 <= next - oldest <= limits.events
 *   at(number).number = number, for all numbers from `oldest` up to but not including `next`
 *   at(number + 1).start = at(number).start + at(number).recordLength, or 0: no record wraps
 *   weightBefore(next) - weightBefore(oldest) >= next - oldest
 */
export class Log {
  /** The ring. The addon shares this memory and writes slices of it to readers. */
  readonly memory: Uint8Array;
  readonly #view: DataView;
  readonly #events: (Event | undefined)[];
  /** The sum of the weights of all events before each event, by its number. */
  readonly #weightBefore: Float64Array;
  /** The sum of the weights of all events. */
  #weight = 0;
  #oldest = 0 as LogIndex;
  #next = 0 as LogIndex;
  /** The offset in the ring at which the next record goes. */
  #end = 0;

  /**
   * @param limits the ring's size
   * @param arena gets the text of events that are still held when the ring overwrites them
   * @param recorder records what a later daemon needs; null if there will be none
   */
  constructor(
    readonly limits: LogLimits,
    readonly arena = new Arena(),
    readonly recorder: Recorder | null = null,
  ) {
    this.memory = recorder?.journal.layout.ring ?? new Uint8Array(limits.bytes);
    this.#view = new DataView(this.memory.buffer, this.memory.byteOffset, this.memory.length);
    this.#events = new Array<Event | undefined>(limits.events).fill(undefined);
    this.#weightBefore = new Float64Array(Math.max(limits.events, WEIGHED));
  }

  /** The number of the oldest event in the ring. */
  get oldest(): LogIndex {
    return this.#oldest;
  }

  /** The number of the next event. */
  get next(): LogIndex {
    return this.#next;
  }

  /**
   * Returns the event with a number in the ring.
   * @param number from `oldest` up to but not including `next`
   */
  at(number: LogIndex): Event {
    return this.#events[number % this.limits.events]!;
  }

  /**
   * Returns the weight of all events before `number`: a reader that loses an overflow record of 7
   * lost events has lost 7, not 1.
   * @param number one of the last `WEIGHED` numbers, or from `oldest` up to and including `next`
   */
  weightBefore(number: LogIndex): number {
    return number === this.#next
      ? this.#weight
      : this.#weightBefore[number % this.#weightBefore.length];
  }

  /**
   * Returns how many lost events the overflow records before `number` state, minus the number of
   * those records.
   */
  standInsBefore(number: LogIndex): number {
    return this.weightBefore(number) - number;
  }

  /**
   * Appends an event, and overwrites the oldest events that are in the way.
   * @param name the event's name
   * @param ino its inode number
   * @param text its text, which must fit the ring
   * @param length how many bytes of `text` to copy
   * @param time when it came
   * @param weight for an overflow record, how many lost events it states; else 1
   */
  append(
    name: string,
    ino: number,
    text: Uint8Array,
    length: number,
    time: Timestamp,
    weight = 1,
  ): Event {
    const start = this.#makeRoom(length + 1);
    // If the text fills the buffer, copy it whole: a subarray view costs more than the copy.
    this.memory.set(length === text.length ? text : text.subarray(0, length), start);
    this.memory[start + length] = LF;
    const event = new Event(name, ino, this.#next, this.memory, start, length, time);
    event.inRing = true;
    event.weight = weight;
    this.#events[this.#next % this.limits.events] = event;
    this.#weightBefore[this.#next % this.#weightBefore.length] = this.#weight;
    this.#weight += weight;
    this.#next++;
    this.#end = start + length + 1;
    if (ASSERTS) this.#check(event);
    return event;
  }

  /**
   * Finds the longest run of whole records from `from` on that is contiguous and fits `room`.
   * @param from a number in the ring
   * @param room in bytes
   * @returns the number after the run's last event: `from` if not even the first record fits
   */
  run(from: LogIndex, room: number): LogIndex {
    const start = this.at(from).start;
    let low = from;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2) as LogIndex;
      const event = this.at(middle);
      const end = event.start + event.length + 1;
      if (end > start && end - start <= room) low = (middle + 1) as LogIndex;
      else high = middle;
    }
    return low;
  }

  /** Overwrites old events until `bytes` contiguous bytes are free; returns their offset. */
  #makeRoom(bytes: number): number {
    if (this.#next - this.#oldest === this.limits.events) this.#overtake();
    if (this.#end + bytes > this.memory.length) {
      this.#overtakeFrom(this.#end, this.memory.length);
      this.#end = 0;
    }
    this.#overtakeFrom(this.#end, this.#end + bytes);
    return this.#end;
  }

  #overtakeFrom(start: number, end: number): void {
    while (this.#oldest < this.#next) {
      const at = this.at(this.#oldest).start;
      if (at < start || at >= end) return;
      this.#overtake();
    }
  }

  /** Checks the invariant at the ring's ends, which is where it changes. */
  #check(newest: Event): void {
    const oldest = this.at(this.#oldest);
    const count = this.#next - this.#oldest;
    if (count > this.limits.events) broken(`the log has ${count} events, more than its limit`);
    if (!oldest.inRing)
      broken(`event ${oldest.number} has left the ring, and the log has it still`);
    if (oldest.number !== this.#oldest)
      broken(`event ${oldest.number} is in the place of the log's oldest, ${this.#oldest}`);
    if (this.#end > this.memory.length) broken(`a record ends at ${this.#end}, behind the ring`);
    if (oldest.start > newest.start && oldest.start < this.#end)
      broken(`the record of event ${newest.number} is in that of event ${oldest.number}`);
    const before = count > 1 ? this.at((newest.number - 1) as LogIndex) : null;
    if (
      before !== null &&
      newest.start !== 0 &&
      newest.start !== before.start + before.recordLength
    )
      broken(`the record of event ${newest.number} is not behind the one before`);
    if (this.#weight - this.weightBefore(this.#oldest) < count)
      broken(`${count} events weigh less than one each`);
  }

  #overtake(): void {
    const slot = this.#oldest % this.limits.events;
    const event = this.#events[slot]!;
    if (event.detach(this.arena)) this.recorder?.text(event);
    this.#events[slot] = undefined;
    this.#oldest++;
  }

  // ---- a later daemon

  /** The offset in the ring at which the next record goes. */
  get end(): number {
    return this.#end;
  }

  /** The sum of the weights of all events. */
  get weight(): number {
    return this.#weight;
  }

  /** Returns the checksum of the text of an event in the ring. */
  checksumOf({ start, length }: Event): number {
    return checksumBytes(this.#view, start, length);
  }

  /**
   * Overwrites the oldest events until RESERVE_BYTES are free behind the newest one.
   * @returns whether it has overwritten any
   */
  reserve(): boolean {
    const before = this.#oldest;
    const { length } = this.memory;
    const end = this.#end + RESERVE_BYTES;
    this.#overtakeFrom(this.#end, Math.min(end, length));
    if (end > length) this.#overtakeFrom(0, RESERVE_BYTES);
    return this.#oldest !== before;
  }

  /**
   * Restores the ring of the last daemon.
   * @param place the log's numbers
   * @param events those in the ring, oldest first, with the weight of all events before each
   */
  restore(
    place: { oldest: number; next: number; ringEnd: number; weight: number },
    events: readonly { readonly event: Event; readonly weightBefore: number }[],
  ): void {
    this.#oldest = place.oldest as LogIndex;
    this.#next = place.next as LogIndex;
    this.#end = place.ringEnd;
    this.#weight = place.weight;
    for (const { event, weightBefore } of events) {
      event.inRing = true;
      this.#events[event.number % this.limits.events] = event;
      this.#weightBefore[event.number % this.#weightBefore.length] = weightBefore;
    }
  }
}
