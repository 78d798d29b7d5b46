/**
 * The log: the text of every event, appended once to one ring, numbered from 0.
 *
 * Streams read it: a stream is a cursor, that is a number. Records lie one behind the other, so that a reader that lags
 * gets many events as one slice. A record never wraps: what does not fit before the ring's end goes to its beginning.
 */
import { Arena } from './arena.js';
import { Event, type LogIndex, type Timestamp } from './event.js';
import { LF } from '../shared/ascii.js';

/** How many events back their weights are known, however few the ring remembers; a late joiner's history is much shorter. */
export const WEIGHED = 16 * 1024;

export interface LogLimits {
  /** The ring's size in bytes. */
  readonly bytes: number;
  /** The most events the ring remembers. */
  readonly events: number;
}

export class Log {
  /** The ring. Shared with the addon, which writes slices of it to readers. */
  readonly memory: Uint8Array;
  readonly #events: (Event | undefined)[];
  /** By number: the weight of all events before it. */
  readonly #weightBefore: Float64Array;
  #weight = 0;
  #oldest = 0 as LogIndex;
  #next = 0 as LogIndex;
  /** Where the next record goes. */
  #end = 0;

  /** @param arena where the text goes of events that the ring lets go of while somebody holds them */
  constructor(
    readonly limits: LogLimits,
    readonly arena = new Arena(),
  ) {
    this.memory = new Uint8Array(limits.bytes);
    this.#events = new Array<Event | undefined>(limits.events).fill(undefined);
    this.#weightBefore = new Float64Array(Math.max(limits.events, WEIGHED));
  }

  /** The number of the oldest event in the ring. */
  get oldest(): LogIndex {
    return this.#oldest;
  }

  /** The number that the next event will get. */
  get next(): LogIndex {
    return this.#next;
  }

  /** The event with that number, from `oldest` up to but not including `next`. */
  at(number: LogIndex): Event {
    return this.#events[number % this.limits.events]!;
  }

  /**
   * The weight of all events before `number`: whoever loses an overflow record of 7 lost events has lost 7, not 1. For the last
   * `WEIGHED` numbers at least, and all from `oldest` up to and including `next`.
   */
  weightBefore(number: LogIndex): number {
    return number === this.#next
      ? this.#weight
      : this.#weightBefore[number % this.#weightBefore.length];
  }

  /** How many lost events the overflow records before `number` stand for, less those records. */
  standInsBefore(number: LogIndex): number {
    return this.weightBefore(number) - number;
  }

  /**
   * Appends `length` bytes of text, which must fit the ring, and overtakes what is in the way.
   * @param weight how many events the record stands for: more than one where it tells of a loss
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
    // The whole of a scratch buffer is no larger than a view of it would be dear.
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
    return event;
  }

  /**
   * The largest run of whole records from `from` on that lies in one piece and within `room` bytes.
   * Gives the number behind its last event: `from` when not even the first record fits.
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

  /** The first `bytes` bytes of ring that the next record may take; overtakes the events that lie there. */
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

  #overtake(): void {
    const slot = this.#oldest % this.limits.events;
    this.#events[slot]!.detach(this.arena);
    this.#events[slot] = undefined;
    this.#oldest++;
  }
}
