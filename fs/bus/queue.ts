/**
 * A queue: the ordered events that wait for one reader, bounded, with a count of what was lost.
 *
 * It holds entries by name, oldest first. An entry is the event itself, or something that stands for it in one
 * directory and knows more (tree/nodes/event-file.ts).
 */
import type { EventQuota } from './quota.js';
import type { Event, Holder, LogIndex } from './event.js';
import { Losses } from './losses.js';
import { PartialRecord, overflowRecord } from './record.js';
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

/** What an entry called `name` costs beyond what each does. */
export function heapOf(name: string, event: Event): number {
  return name.length + event.heapBytes;
}

export class Queue<E extends Entry> implements Holder {
  readonly entries = new Sequence<E>(nameOf, ROOM_IN_FRONT);
  /** Bytes of text of all entries. */
  bytes = 0;
  /** What they cost beyond what each does: see {@link EventQuota}. */
  heap = 0;
  /** How many entries are still being written. */
  incomplete = 0;
  /** All entries before this position are still being written. */
  #incompleteTo = 0;
  /** How many events had to make room or found none, ever. */
  lost = 0;
  /** Those that no stream reader has been told of yet. */
  readonly losses = new Losses();

  /**
   * @param quota where its events and bytes are charged too
   * @param onComplete called when an entry that was being written can be taken
   */
  constructor(
    public limits: QueueLimits,
    public quota: EventQuota | null = null,
    private readonly onComplete: (() => void) | null = null,
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
    if (!this.#admit(event.length, heapOf(entry.name, event))) {
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
    this.heap += heapOf(entry.name, event);
  }

  /** Whether a full queue drops its oldest. */
  get dropsOldest(): boolean {
    const { overflow } = this.limits;
    return overflow === undefined || overflow === 'drop-oldest';
  }

  /** Whether a user may not put that much more in: it would have to be lost. */
  refuses(events: number, bytes: number): boolean {
    return !this.dropsOldest && this.overflows(events, bytes);
  }

  /** Whether that much more is beyond the limits. */
  overflows(events: number, bytes: number): boolean {
    const { limits } = this;
    return (
      (events > 0 && this.entries.size + events > limits.events) ||
      (bytes > 0 && this.bytes + bytes > limits.bytes)
    );
  }

  /** Finds room for one event more and charges it. */
  #admit(bytes: number, heap: number): boolean {
    const { quota } = this;
    if (this.overflows(1, bytes)) {
      if (!this.dropsOldest) return false;
      this.makeRoom(1, bytes);
    }
    if (quota === null || quota.tryCharge(1, bytes, heap)) return true;
    // Others hold what may be held: ours goes only if that is of use.
    if (
      !this.dropsOldest ||
      !quota.fits(1 - this.entries.size, bytes - this.bytes, heap - this.heap)
    )
      return false;
    for (; !quota.tryCharge(1, bytes, heap); this.#dropOldest()) {
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
    while (first > 0 && this.#takesInFront(entries.length - first, entries[first - 1])) first--;
    const kept = entries.slice(first);
    if (kept.some(({ name, event }) => !event.isUnique || name !== event.name))
      this.entries.index();
    this.#incompleteTo = 0;
    this.entries.prepend(
      kept.map(({ name }) => name),
      kept,
    );
    for (const { event } of entries.slice(0, first)) lost += event.weight;
    if (lost === 0) return kept;
    this.lost += lost;
    if (this.entries.size > 0) this.losses.atHead(this.entries.firstPosition, lost);
    else this.losses.atEnd(this.entries, lost);
    return kept;
  }

  /** Links and charges an event that `events` more are to follow, if there is room for it. */
  #takesInFront(events: number, { name, event }: E): boolean {
    const heap = heapOf(name, event);
    if (this.overflows(events + 1, event.length)) return false;
    if (this.quota !== null && !this.quota.tryCharge(1, event.length, heap)) return false;
    event.link(this);
    this.bytes += event.length;
    this.heap += heap;
    return true;
  }

  /**
   * Drops the oldest until `events` more with `bytes` more are within the limits, or until the event that the bytes are
   * for, `growing`, has gone itself. The newest entry always stays.
   */
  makeRoom(events: number, bytes: number, growing?: Event): void {
    const { entries, limits } = this;
    while (
      entries.size > 1 - events &&
      (entries.size + events > limits.events || this.bytes + bytes > limits.bytes)
    ) {
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
    if (entry !== undefined) this.#letGo(name, entry.event);
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
    this.#refund(name, event);
    to.makeRoom(1, event.length);
    to.quota?.forceCharge(1, event.length, heapOf(entry.name, event));
    to.#append(entry);
    event.unlink(this);
  }

  /** An entry that was called `name` goes. */
  #refund(name: string, event: Event): void {
    const heap = heapOf(name, event);
    this.bytes -= event.length;
    this.heap -= heap;
    this.quota?.refund(1, event.length, heap);
  }

  /** Calls an entry something else that is free, which it says already. Whether its name may become longer was asked before. */
  rename(name: string, newName: string): void {
    const longer = newName.length - name.length;
    this.entries.rename(name, newName);
    this.heap += longer;
    this.quota?.forceCharge(0, 0, longer);
  }

  /** Takes an entry out without the kernel's knowing. */
  drop(name: string): void {
    this.remove(name)?.dropped?.();
  }

  /** Takes the oldest entry out of a queue in which no name is looked up any more; undefined when it is empty. */
  shift(): E | undefined {
    const entry = this.entries.shift();
    if (entry !== undefined) this.#letGo(entry.name, entry.event);
    return entry;
  }

  #letGo(name: string, event: Event): void {
    this.#refund(name, event);
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
    return this.entries.size - this.incomplete;
  }

  /** An entry is complete now. */
  becameComplete(): void {
    this.#incompleteTo = 0;
    this.onComplete?.();
  }

  /**
   * @returns the oldest event that is not still being written. It is not looked for twice among those that are: a user
   * may have thousands of them, and as many readers behind.
   */
  firstComplete(): E | undefined {
    const { entries } = this;
    if (this.incomplete === 0) return entries.first();
    let position = entries.seek(this.#incompleteTo);
    while (position >= 0 && !entries.at(position)!.event.complete)
      position = entries.seek(position + 1);
    this.#incompleteTo = position < 0 ? entries.nextPosition : position;
    return position < 0 ? undefined : entries.at(position);
  }
}

/** One open `.stream`: it takes events off the queue, and each goes to one reader only. */
export class QueueReader {
  readonly #rest = new PartialRecord();

  constructor(readonly queue: Queue<Entry>) {}

  /** How many bytes are kept of a record whose beginning was read. */
  get restLength(): number {
    return this.#rest.length;
  }

  /** Whether `read` would put anything. */
  get ready(): boolean {
    return this.#rest.waiting || this.queue.untold > 0 || this.queue.firstComplete() !== undefined;
  }

  /** Whether the next event has that number in the log or a higher one, and nothing is to be told before it. */
  isFrom(number: LogIndex): boolean {
    const next = this.queue.firstComplete();
    return (
      !this.#rest.waiting &&
      this.queue.untold === 0 &&
      next !== undefined &&
      next.event.number >= number
    );
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
