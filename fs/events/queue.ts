/**
 * A queue: the ordered events that wait for one reader, bounded, with a count of what was lost.
 *
 * It holds entries by name, oldest first. An entry is the event itself, or something that stands for it in one
 * directory and knows more (tree/event-file.ts).
 */
import type { Books } from './books.js';
import type { Event, Holder } from './event.js';
import { Losses } from './losses.js';
import { Remainder, overflowRecord } from './record.js';
import { Sequence } from './sequence.js';
import type { Sink } from './sink.js';

export interface Entry {
  readonly name: string;
  readonly event: Event;
  /** The queue has let go of it by itself, not because somebody has unlinked it. */
  dropped?(): void;
}

/**
 * What a full queue does with one event more. It drops its oldest, or the one that comes: that one is lost then. With either of
 * the last two nothing that a user puts in is dropped: `refuses` says so before, and for what comes by itself they are the same.
 */
export type Overflow = 'drop-oldest' | 'drop-newest' | 'refuse';

export interface QueueLimits {
  /** The most events. */
  readonly events: number;
  /** The most bytes of text. */
  readonly bytes: number;
  /** `drop-oldest` where nothing is said. */
  readonly overflow?: Overflow;
}

/** How many events can come to stand before the first that a queue was given (`prepend`): more than any history has. */
const ROOM_IN_FRONT = 2 ** 24;

/** How many names are tried in their order. */
const MOST_NUMBERED = 8;

const nameOf = ({ name }: Entry): string => name;

export class Queue<E extends Entry> implements Holder {
  readonly entries = new Sequence<E>(nameOf, ROOM_IN_FRONT);
  /** Bytes of text of all entries. */
  bytes = 0;
  /** How many events had to make room or found none, ever. */
  lost = 0;
  /** Those that no stream reader has been told of yet. */
  readonly losses = new Losses();

  /** @param books where its events and bytes are charged too */
  constructor(
    public limits: QueueLimits,
    public books: Books | null = null,
  ) {}

  /** How many lost events no stream reader has been told of. */
  get untold(): number {
    return this.losses.untold;
  }

  /**
   * Adds an entry behind all others, under a name that is free. What is then too much goes, the oldest first; or there is
   * no room for it, and it is lost itself: false.
   */
  add(entry: E): boolean {
    const { event } = entry;
    if (!this.#admit(event.length)) {
      this.lost += event.weight;
      this.losses.atEnd(this.entries, event.weight);
      return false;
    }
    this.#append(entry);
    return true;
  }

  #append(entry: E): void {
    const { event } = entry;
    // A name that may be another's too must be known to whoever comes next and wants it.
    if (!event.isUnique || entry.name !== event.name) this.entries.index();
    this.entries.push(entry.name, entry);
    event.link(this);
    this.bytes += event.length;
  }

  /** Whether a full queue drops its oldest. */
  get dropsOldest(): boolean {
    const { overflow } = this.limits;
    return overflow === undefined || overflow === 'drop-oldest';
  }

  /** Whether a user may not put that much more in: it would have to be lost. */
  refuses(events: number, bytes: number): boolean {
    return !this.dropsOldest && this.#overflows(events, bytes);
  }

  #overflows(events: number, bytes: number): boolean {
    const { limits } = this;
    return (events > 0 && this.entries.size + events > limits.events) || (bytes > 0 && this.bytes + bytes > limits.bytes);
  }

  /** Finds room for one event more and charges it. */
  #admit(bytes: number): boolean {
    const { books } = this;
    if (this.#overflows(1, bytes)) {
      if (!this.dropsOldest) return false;
      this.makeRoom(1, bytes);
    }
    if (books === null || books.charge(1, bytes)) return true;
    // Others hold what may be held: ours goes only if that is of use.
    if (!this.dropsOldest || !books.couldHold(1 - this.entries.size, bytes - this.bytes)) return false;
    for (; !books.charge(1, bytes); this.#dropOldest()) {
      if (this.entries.size === 0) return false; // what was dropped is still open
    }
    return true;
  }

  /**
   * Adds entries before all others, oldest first, under names that are free; before them `lost` events are missing that
   * nobody has any more. What is too much goes, the oldest first; gives those that have joined.
   */
  prepend(entries: readonly E[], lost: number): readonly E[] {
    let first = entries.length;
    while (first > 0 && this.#takesInFront(entries.length - first, entries[first - 1].event)) first--;
    const kept = entries.slice(first);
    if (kept.some(({ name, event }) => !event.isUnique || name !== event.name)) this.entries.index();
    this.entries.prepend(kept.map(({ name }) => name), kept);
    for (const { event } of entries.slice(0, first)) lost += event.weight;
    if (lost === 0) return kept;
    this.lost += lost;
    if (this.entries.size > 0) this.losses.atHead(this.entries.firstPosition, lost);
    else this.losses.atEnd(this.entries, lost);
    return kept;
  }

  /** Links and charges an event that `events` more are to follow, if there is room for it. */
  #takesInFront(events: number, event: Event): boolean {
    if (this.#overflows(events + 1, event.length)) return false;
    if (this.books !== null && !this.books.charge(1, event.length)) return false;
    event.link(this);
    this.bytes += event.length;
    return true;
  }

  /**
   * Drops the oldest until `events` more with `bytes` more are within the limits, or until the event that the bytes are
   * for, `growing`, has gone itself. The newest entry always stays.
   */
  makeRoom(events: number, bytes: number, growing?: Event): void {
    const { entries, limits } = this;
    while (entries.size > 1 - events && (entries.size + events > limits.events || this.bytes + bytes > limits.bytes)) {
      if (this.#dropOldest() === growing) return;
    }
  }

  #dropOldest(): Event {
    const { name, event } = this.entries.first()!;
    const position = this.entries.firstPosition;
    this.drop(name);
    this.lost += event.weight;
    this.losses.atHead(position, event.weight);
    return event;
  }

  /** Takes an entry out. */
  remove(name: string): E | undefined {
    const entry = this.entries.delete(name);
    if (entry !== undefined) this.#letGo(entry.event);
    return entry;
  }

  /**
   * Moves an entry to the end of another queue, where what it is called now is free; one of them holds it all the time. Whether
   * that may be was asked before: where more than the quota is held already, less is held afterwards or as much.
   */
  moveTo(to: Queue<E>, name: string): void {
    const entry = this.entries.delete(name);
    if (entry === undefined) return;
    const { event } = entry;
    this.bytes -= event.length;
    this.books?.refund(1, event.length);
    to.makeRoom(1, event.length);
    to.books?.keep(1, event.length);
    to.#append(entry);
    event.unlink(this);
  }

  /** Takes an entry out without the kernel's knowing. */
  drop(name: string): void {
    this.remove(name)?.dropped?.();
  }

  /** Takes the oldest entry out of a queue in which no name is looked up any more; undefined when it is empty. */
  shift(): E | undefined {
    const entry = this.entries.shift();
    if (entry !== undefined) this.#letGo(entry.event);
    return entry;
  }

  #letGo(event: Event): void {
    this.bytes -= event.length;
    this.books?.refund(1, event.length);
    event.unlink(this);
  }

  /** Whether the event can have its own name here, as far as that can be told without looking. */
  surelyTakes(event: Event): boolean {
    return event.isUnique && !this.entries.isIndexed;
  }

  /**
   * A name for an event that wants to be called `wanted`: that, or `wanted.1`, `wanted.2`, ... where it is taken here or
   * among `others`. A user may have taken thousands of them, so that after some tries it is `wanted.` and a random number.
   */
  freeName<T>(wanted: string, others: Sequence<T> | null = null): string {
    let name = wanted;
    for (let n = 1; this.entries.has(name) || others?.has(name) === true; n++) {
      name = `${wanted}.${n <= MOST_NUMBERED ? n : Math.floor(Math.random() * 2 ** 48)}`;
    }
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

  /** Whether the next event has that number in the log or a higher one, and nothing is to be told before it. */
  isFrom(number: number): boolean {
    const next = this.queue.firstComplete();
    return !this.#rest.waiting && this.queue.untold === 0 && next !== undefined && next.event.number >= number;
  }

  /** Hands over at most `most` events, whole but for the first, which may be cut: the next read begins with its rest. */
  read(sink: Sink, most = Infinity): void {
    const { queue } = this;
    const roomAtFirst = sink.room;
    if (!this.#rest.finish(sink)) return;
    for (let taken = 0; taken < most && sink.room > 0; taken++) {
      const entry = queue.firstComplete();
      if (queue.untold > 0 && !this.#tellLoss(sink, roomAtFirst, entry)) return;
      if (entry === undefined || sink.room === 0) return;
      const { bytes, start, recordLength } = entry.event;
      if (recordLength > sink.room && sink.room !== roomAtFirst) return;
      const whole = this.#rest.put(sink, bytes, start, recordLength);
      queue.drop(entry.name);
      if (!whole) return;
    }
  }

  /** Puts a record where events are missing before `next`; false when there is no room for anything more. */
  #tellLoss(sink: Sink, roomAtFirst: number, next: Entry | undefined): boolean {
    const { losses, entries } = this.queue;
    const position = next === undefined ? Infinity : entries.positionOf(next.name);
    const lost = losses.before(position);
    if (lost === 0) return true;
    const record = overflowRecord(lost);
    if (record.length > sink.room && sink.room !== roomAtFirst) return false;
    losses.tell(position);
    return this.#rest.put(sink, record, 0, record.length);
  }
}
