/**
 * A queue: the ordered events that wait for one reader, bounded, with a count of what was lost.
 *
 * It holds entries by name, oldest first. An entry is the event itself, or something that stands for it in one
 * directory and knows more (tree/event-file.ts).
 */
import type { Event, Holder } from './event.js';
import { Remainder, overflowRecord } from './record.js';
import { Sequence } from './sequence.js';
import type { Sink } from './sink.js';

export interface Entry {
  readonly name: string;
  readonly event: Event;
  /** The queue has let go of it by itself, not because somebody has unlinked it. */
  dropped?(): void;
}

export interface QueueLimits {
  /** The most events. */
  readonly events: number;
  /** The most bytes of text. */
  readonly bytes: number;
}

/** How many events can come to stand before the first that a queue was given (`prepend`): more than any history has. */
const ROOM_IN_FRONT = 2 ** 24;

export class Queue<E extends Entry> implements Holder {
  readonly entries = new Sequence<E>(ROOM_IN_FRONT);
  /** Bytes of text of all entries. */
  bytes = 0;
  /** How many events had to make room, ever. */
  lost = 0;
  /** How many of them no stream reader has been told of yet. */
  untold = 0;

  constructor(public limits: QueueLimits) {}

  /** Adds an entry behind all others, under a name that is free. What is then too much goes, the oldest first. */
  add(entry: E): void {
    this.makeRoom(1, entry.event.length);
    this.entries.push(entry.name, entry);
    entry.event.link(this);
    this.bytes += entry.event.length;
  }

  /**
   * Adds entries before all others, oldest first, under names that are free; before them `lost` events are missing that
   * nobody has any more. What is too much goes, the oldest first.
   */
  prepend(entries: readonly E[], lost: number): void {
    const { limits } = this;
    let first = entries.length;
    let { size } = this.entries;
    while (first > 0 && size < limits.events && this.bytes + entries[first - 1].event.length <= limits.bytes) {
      const { event } = entries[--first];
      event.link(this);
      this.bytes += event.length;
      size++;
    }
    const kept = entries.slice(first);
    this.entries.prepend(kept.map(({ name }) => name), kept);
    for (const { event } of entries.slice(0, first)) lost += event.weight;
    this.lost += lost;
    this.untold += lost;
  }

  /**
   * Drops the oldest until `events` more with `bytes` more are within the limits, or until the event that the bytes are
   * for, `growing`, has gone itself. The newest entry always stays.
   */
  makeRoom(events: number, bytes: number, growing?: Event): void {
    const { entries, limits } = this;
    while (entries.size > 1 - events && (entries.size + events > limits.events || this.bytes + bytes > limits.bytes)) {
      const { name, event } = entries.first()!;
      this.drop(name);
      this.lost++;
      this.untold++;
      if (event === growing) return;
    }
  }

  /** Takes an entry out. */
  remove(name: string): E | undefined {
    const entry = this.entries.delete(name);
    if (entry === undefined) return undefined;
    this.bytes -= entry.event.length;
    entry.event.unlink(this);
    return entry;
  }

  /** Takes an entry out without the kernel's knowing. */
  drop(name: string): void {
    this.remove(name)?.dropped?.();
  }

  /** Lets go of everything. */
  clear(): void {
    for (const entry of this.entries) entry.event.unlink(this);
    this.entries.clear();
    this.bytes = 0;
  }

  /**
   * A name for an event that wants to be called `wanted`: that, or `wanted.1`, `wanted.2`, ... where it is taken here or
   * among `others`.
   */
  freeName(wanted: string, others: Sequence<unknown> | null = null): string {
    let name = wanted;
    for (let n = 1; this.entries.has(name) || others?.has(name) === true; n++) name = `${wanted}.${n}`;
    return name;
  }

  /** How many events a stream reader could take now. */
  get complete(): number {
    let count = 0;
    for (const entry of this.entries) if (entry.event.complete) count++;
    return count;
  }

  /** The oldest event that is not still being written. */
  firstComplete(): E | undefined {
    const first = this.entries.first();
    if (first === undefined || first.event.complete) return first;
    for (const entry of this.entries) if (entry.event.complete) return entry;
    return undefined;
  }
}

/** One open `.stream`: it takes events off the queue, and each goes to one reader only. */
export class QueueReader {
  readonly #rest = new Remainder();

  constructor(readonly queue: Queue<Entry>) {}

  /** Whether `read` would put anything. */
  get ready(): boolean {
    return this.#rest.waiting || this.queue.untold > 0 || this.queue.firstComplete() !== undefined;
  }

  /** Hands over at most `most` events, whole but for the first, which may be cut: the next read begins with its rest. */
  read(sink: Sink, most = Infinity): void {
    const { queue } = this;
    const roomAtFirst = sink.room;
    if (!this.#rest.finish(sink)) return;
    if (queue.untold > 0 && !this.#tellLoss(sink, roomAtFirst)) return;
    for (let taken = 0; taken < most && sink.room > 0; taken++) {
      const entry = queue.firstComplete();
      if (entry === undefined) return;
      const { bytes, start, recordLength } = entry.event;
      if (recordLength > sink.room && sink.room !== roomAtFirst) return;
      const whole = this.#rest.put(sink, bytes, start, recordLength);
      queue.drop(entry.name);
      if (!whole) return;
    }
  }

  #tellLoss(sink: Sink, roomAtFirst: number): boolean {
    const record = overflowRecord(this.queue.untold);
    if (record.length > sink.room && sink.room !== roomAtFirst) return false;
    this.queue.untold = 0;
    return this.#rest.put(sink, record, 0, record.length);
  }
}
