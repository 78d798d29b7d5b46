/**
 * A queue: the ordered events of one directory, bounded, with a count of the lost events.
 *
 * It holds entries by name, oldest first. An entry is the event itself, or a node that stands for
 * it in one directory and keeps more about it (tree/nodes/event-file.ts).
 */
import type { EventQuota } from './quota.js';
import type { Entry, QueueJournal } from './queue/entry.js';
import { type Event, type Holder, heapOf } from './event.js';
import type { QueueLimits } from './queue/limits.js';
import { Losses } from './queue/losses.js';
import { prependTo } from './queue/prepend.js';
import { checkQueue } from './queue/queue-invariant.js';
import { Sequence } from './sequence.js';
import { ASSERTS } from '../shared/invariant.js';

export type { Entry, QueueJournal } from './queue/entry.js';
export type { Overflow, QueueLimits } from './queue/limits.js';

/** How many entries `prepend` can add in a queue's lifetime: more than any history has. */
const ROOM_IN_FRONT = 2 ** 24;

const nameOf = ({ name }: Entry): string => name;

/** The bounded events of one directory, charged to an account. */
export class Queue<E extends Entry> implements Holder {
  readonly entries = new Sequence<E>(nameOf, ROOM_IN_FRONT);
  /** Bytes of text of all entries. */
  bytes = 0;
  /** The entries' cost in bytes of heap, beyond the price that all have: see {@link EventQuota}. */
  heap = 0;
  /** How many entries a user is still writing. */
  incomplete = 0;
  /** All entries before this position are incomplete. */
  #incompleteTo = 0;
  /** How many events the queue has lost, ever: dropped to make room, or not added. */
  lost = 0;
  /** The losses that no stream reader has been told of yet. */
  readonly losses = new Losses();
  /** Records the changes; null if there will be no later daemon, or the directory has ended. */
  journal: QueueJournal | null = null;

  /**
   * @param limits the queue's bounds
   * @param quota the account that the events and bytes are charged to; null for none
   * @param onComplete called when an incomplete entry becomes complete
   */
  constructor(
    public limits: QueueLimits,
    public quota: EventQuota | null = null,
    private readonly onComplete: (() => void) | null = null,
  ) {}

  /**
   * Adds an entry behind all others, after dropping the oldest entries if they exceed the limits.
   * @param entry its name must be free
   * @returns false if there is no room: then the event is lost
   */
  add(entry: E): boolean {
    const { event } = entry;
    if (!this.#admit(event.length, heapOf(entry.name, event))) {
      this.lost += event.weight;
      this.losses.atEnd(this.entries, event.weight);
      this.journal?.hasChanged();
      return false;
    }
    this.#append(entry);
    return true;
  }

  #append(entry: E): void {
    const { event } = entry;
    // Another event may want this name later: then a lookup must find that it is taken.
    if (!event.isUnique || entry.name !== event.name) this.entries.index();
    const position = this.entries.push(entry.name, entry);
    this.journal?.linked(position, entry);
    event.link(this);
    this.bytes += event.length;
    this.heap += heapOf(entry.name, event);
    if (ASSERTS) checkQueue(this);
  }

  /** Whether the queue drops its oldest event when it is full. */
  get dropsOldest(): boolean {
    return (this.limits.overflow ?? 'drop-oldest') === 'drop-oldest';
  }

  /**
   * Returns whether the queue must refuse that much more from a user, because it would be lost.
   * @param events how many more
   * @param bytes of text more
   */
  refuses(events: number, bytes: number): boolean {
    return !this.dropsOldest && this.overflows(events, bytes);
  }

  /**
   * Returns whether that much more exceeds the limits.
   * @param events how many more
   * @param bytes of text more
   */
  overflows(events: number, bytes: number): boolean {
    const { limits } = this;
    return (
      (events > 0 && this.entries.size + events > limits.events) ||
      (bytes > 0 && this.bytes + bytes > limits.bytes)
    );
  }

  /**
   * Makes room for one more event and charges it.
   * @returns false, with nothing charged, if there is no room
   */
  #admit(bytes: number, heap: number): boolean {
    const { quota } = this;
    if (this.overflows(1, bytes)) {
      if (!this.dropsOldest) return false;
      this.makeRoom(1, bytes);
    }
    if (quota === null || quota.tryCharge(1, bytes, heap)) return true;
    // Other holders use up the quota. Drop entries of this queue only if that makes enough room.
    if (
      !this.dropsOldest ||
      !quota.fits(1 - this.entries.size, bytes - this.bytes, heap - this.heap)
    )
      return false;
    for (; !quota.tryCharge(1, bytes, heap); this.#dropOldest()) {
      if (this.entries.size === 0) return false; // open files hold the dropped events
    }
    return true;
  }

  /**
   * Adds entries before all others. If there is no room for all, the oldest of them are lost.
   * @param entries oldest first, under names that are free
   * @param lost how many more events are missing before the first entry
   * @returns the entries that were added
   */
  prepend(entries: readonly E[], lost: number): readonly E[] {
    this.#incompleteTo = 0;
    return prependTo(this, entries, lost);
  }

  /**
   * Drops the oldest events until that much more is within the limits. The newest entry stays.
   * @param events how many more
   * @param bytes of text more
   * @param growing the event that the bytes are for: it ends the loop when it is dropped itself
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
    this.journal?.hasChanged();
    return event;
  }

  /**
   * Takes an entry out.
   * @returns the entry, or undefined if there is none
   */
  remove(name: string): E | undefined {
    const entry = this.entries.delete(name);
    if (entry === undefined) return undefined;
    this.journal?.unlinked(this.entries.deletedPosition);
    this.#letGo(name, entry.event);
    return entry;
  }

  /**
   * Moves an entry to the end of another queue. One of the queues holds the event at every moment.
   * The caller must have checked the quota before. If more than the quota is held already, the move
   * must not increase it.
   * @param to the other queue, where the entry's current name must be free
   * @param name the name that this queue knows the entry by
   */
  moveTo(to: Queue<E>, name: string): void {
    const entry = this.entries.delete(name);
    if (entry === undefined) return;
    this.journal?.unlinked(this.entries.deletedPosition);
    const { event } = entry;
    this.#refund(name, event);
    to.makeRoom(1, event.length);
    to.quota?.forceCharge(1, event.length, heapOf(entry.name, event));
    to.#append(entry);
    event.unlink(this);
  }

  /** Refunds an entry that this queue charged under `name`. */
  #refund(name: string, event: Event): void {
    const heap = heapOf(name, event);
    this.bytes -= event.length;
    this.heap -= heap;
    this.quota?.refund(1, event.length, heap);
  }

  /**
   * Renames an entry. The caller must have checked the quota for a longer name.
   * @param name the name that the queue knows the entry by
   * @param newName a free name; `entry.name` is this name already
   */
  rename(name: string, newName: string): void {
    const longer = newName.length - name.length;
    this.entries.rename(name, newName);
    if (this.journal !== null) this.#recordName(newName);
    this.heap += longer;
    this.quota?.forceCharge(0, 0, longer);
    if (ASSERTS) checkQueue(this);
  }

  /** Records that an entry has another name. */
  #recordName(name: string): void {
    const entry = this.entries.get(name);
    if (entry !== undefined) this.journal?.linked(this.entries.positionOf(name), entry);
  }

  /** Takes an entry out and notifies it. The kernel does not know that the file is gone. */
  drop(name: string): void {
    this.remove(name)?.dropped?.();
  }

  /**
   * Takes the oldest entry out of a queue whose names are no longer looked up.
   * @returns the entry, or undefined if the queue is empty
   */
  shift(): E | undefined {
    if (this.entries.size > 0) this.journal?.unlinked(this.entries.firstPosition);
    const entry = this.entries.shift();
    if (entry !== undefined) this.#letGo(entry.name, entry.event);
    return entry;
  }

  #letGo(name: string, event: Event): void {
    this.#refund(name, event);
    event.unlink(this);
    if (ASSERTS) checkQueue(this);
  }

  /** Returns whether the event's own name is known to be free here without a lookup. */
  surelyTakes(event: Event): boolean {
    return event.isUnique && !this.entries.isIndexed;
  }

  /** How many events a stream reader could take now. */
  get complete(): number {
    return this.entries.size - this.incomplete;
  }

  /** Notes that an entry of the queue is complete from now on. */
  becameComplete(): void {
    this.#incompleteTo = 0;
    this.onComplete?.();
  }

  /**
   * Returns the oldest complete entry, or undefined. Each search begins where the last one ended:
   * a user may have thousands of incomplete events, and as many readers behind them.
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
