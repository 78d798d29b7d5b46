/** The model of a directory of events: a process directory, or `log/`. */
import type { SimProcess } from '../machine/processes.js';
import { Collected, ModelEvent, matches, overflowText } from './events.js';
import type { ModelNode } from './nodes.js';
import type { Account } from './quota.js';

/** The bounds of a queue. */
export interface ModelLimits {
  readonly events: number;
  readonly bytes: number;
  readonly dropsOldest: boolean;
}

/** The file of an event in one directory. */
export class ModelEntry {
  readonly kind = 'entry';
  node: ModelNode | null = null;
  /** The open files. */
  opens = 0;
  /** Whether the queue has dropped it by itself. */
  isDropped = false;
  isLinked = true;

  constructor(
    public directory: ModelDirectory,
    public name: string,
    readonly event: ModelEvent,
    /** Its place in the order of the directory. */
    public position: number,
  ) {}
}

/** A number of lost events at a place of the queue. */
class ModelLoss {
  readonly kind = 'loss';
  constructor(public count: number) {}
}

/** A FIFO, socket or symlink. */
export class ModelSpecial {
  readonly kind = 'special';
  node: ModelNode | null = null;
  isLinked = true;
  /** A removed symlink keeps its size. */
  readonly size: number;

  constructor(
    public directory: ModelDirectory,
    public name: string,
    /** Type and permissions. */
    public mode: number,
    public uid: number,
    public gid: number,
    public target: string,
    public position: number,
  ) {
    this.size = target.length;
  }
}

/** The names that a process directory always has. */
export const DOT_FILES = ['.stream', '.filter', '.since', '.status'];
/** More than a directory ever has: special files are listed behind all events. */
const SPECIALS_FROM = 2 ** 40;

/** A queue with names. */
export class ModelDirectory {
  node: ModelNode | null = null;
  isOver = false;
  isSticky = false;
  isOrphaned = false;
  /** Entries and losses, oldest first. */
  items: (ModelEntry | ModelLoss)[] = [];
  specials: ModelSpecial[] = [];
  filter = '';
  listedTo = -1;
  nextPosition = 0;
  #lowest = 0;
  /** Grows with each setting of the filter: the order in which directories get an event. */
  stamp = 0;
  nextSpecial = SPECIALS_FROM;
  lost = 0;
  added = 0;
  /** The SEQNUM after which it begins, and the number of its first event in the log. */
  after = 0;
  /** The text of `.since`. */
  shown = '';
  first = 0;
  /** The nodes of the fixed names, while the kernel knows them. */
  readonly fixed = new Map<string, ModelNode>();
  /** The place in the order of each offset of a listing. */
  readonly offsets = new Map<number, number>();
  lastFilterFile: object | null = null;
  /** Called when streams can take something that they could not take before. */
  onData: () => void = () => undefined;

  /** @param owner null for `log/` */
  constructor(
    readonly name: string,
    readonly owner: SimProcess | null,
    readonly madeBy: number,
    public mode: number,
    public account: Account,
    public limits: ModelLimits,
  ) {}

  /** Forgets the places of removed special files, which a restarted daemon reuses. */
  restarted(): void {
    this.nextSpecial = (this.specials.at(-1)?.position ?? SPECIALS_FROM - 1) + 1;
  }

  get entries(): ModelEntry[] {
    const entries: ModelEntry[] = [];
    for (const item of this.items) if (item.kind === 'entry') entries.push(item);
    return entries;
  }

  get size(): number {
    let size = 0;
    for (const item of this.items) if (item.kind === 'entry') size++;
    return size;
  }

  get bytes(): number {
    let bytes = 0;
    for (const item of this.items) if (item.kind === 'entry') bytes += item.event.text.length;
    return bytes;
  }

  /** Finds an event or a special file. */
  find(name: string): ModelEntry | ModelSpecial | undefined {
    for (const item of this.items) if (item.kind === 'entry' && item.name === name) return item;
    return this.specials.find((special) => special.name === name);
  }

  /** Finds the event at an end. */
  end(name: string): ModelEntry | undefined {
    const { entries } = this;
    return name === 'head' ? entries[0] : name === 'tail' ? entries[entries.length - 1] : undefined;
  }

  /** Returns a name for an event that is free, by the rule of the contract. */
  freeName(wanted: string): string {
    let name = wanted;
    for (let n = 1; this.find(name) !== undefined; n++) name = `${wanted}.${n}`;
    return name;
  }

  /** Returns whether these amounts exceed the limits. */
  overflows(events: number, bytes: number): boolean {
    return (
      (events > 0 && this.size + events > this.limits.events) ||
      (bytes > 0 && this.bytes + bytes > this.limits.bytes)
    );
  }

  refuses(events: number, bytes: number): boolean {
    return !this.limits.dropsOldest && this.overflows(events, bytes);
  }

  /** Adds an entry at the end, if there is room; otherwise the event is lost. */
  add(name: string, event: ModelEvent): ModelEntry | null {
    if (!this.#admit(event.text.length)) {
      this.lost += event.weight;
      this.#lose(this.items.length, event.weight);
      return null;
    }
    return this.append(name, event);
  }

  /** Adds an entry at the end that is charged already. */
  append(name: string, event: ModelEvent): ModelEntry {
    const entry = new ModelEntry(this, name, event, this.nextPosition++);
    this.items.push(entry);
    this.added++;
    event.link(this.#asHolder);
    return entry;
  }

  get #asHolder(): ModelDirectory | null {
    return this.owner === null ? null : this;
  }

  #admit(bytes: number): boolean {
    if (this.overflows(1, bytes)) {
      if (!this.limits.dropsOldest) return false;
      this.makeRoom(1, bytes);
    }
    if (this.owner === null) return true;
    const { account } = this;
    const more = { events: 1, bytes };
    if (account.charge(more) === 0) return true;
    if (!this.limits.dropsOldest || !account.fitsAfter(1 - this.size, bytes - this.bytes))
      return false;
    while (account.charge(more) !== 0) {
      if (this.size === 0) return false;
      this.#dropOldest();
    }
    return true;
  }

  /** Drops the oldest entries until these amounts fit; the newest entry stays. */
  makeRoom(events: number, bytes: number, growing?: ModelEvent): void {
    while (
      this.size > 1 - events &&
      (this.size + events > this.limits.events || this.bytes + bytes > this.limits.bytes)
    )
      if (this.#dropOldest() === growing) return;
  }

  #dropOldest(): ModelEvent {
    const entry = this.entries[0];
    const { event } = entry;
    const at = this.items.indexOf(entry);
    this.drop(entry);
    this.lost += event.weight;
    // All losses before it are at the same place now: at the head.
    this.#lose(at, event.weight);
    return event;
  }

  #lose(at: number, count: number): void {
    // Losses without an entry between them are one.
    for (const near of [this.items[at - 1], this.items[at]]) {
      if (near?.kind !== 'loss') continue;
      near.count += count;
      return;
    }
    this.items.splice(at, 0, new ModelLoss(count));
  }

  /** Takes an entry out. */
  remove(entry: ModelEntry): void {
    this.takeOut(entry);
    entry.isLinked = false;
    if (this.owner !== null) this.account.addEvents(-1, -entry.event.text.length);
    entry.event.unlink(this.#asHolder);
  }

  /** Takes an entry out of the order; the losses on both sides of it become one. */
  takeOut(entry: ModelEntry): void {
    const at = this.items.indexOf(entry);
    const [before, after] = [this.items[at - 1], this.items[at + 1]];
    if (before?.kind === 'loss' && after?.kind === 'loss') {
      before.count += after.count;
      this.items.splice(at, 2);
    } else this.items.splice(at, 1);
  }

  /** Takes an entry out without a request of the kernel: then the node ends too. */
  drop(entry: ModelEntry): void {
    this.remove(entry);
    entry.isDropped = true;
    this.letGo(entry);
  }

  /** Ends the node of an entry that the queue has dropped and no process has open. */
  letGo(entry: ModelEntry): void {
    if (entry.isDropped && entry.opens === 0 && entry.node !== null) entry.node.isGone = true;
  }

  /** Puts kept events before all others. */
  prepend(events: readonly ModelEvent[], lost: number): number {
    const taken: ModelEntry[] = [];
    let missing = lost;
    let isFull = false;
    for (const event of [...events].reverse()) {
      const bytes = event.text.length;
      const isOver =
        isFull || this.overflows(1, bytes) || this.account.charge({ events: 1, bytes }) !== 0;
      if (isOver) {
        isFull = true;
        missing += event.weight;
        continue;
      }
      const entry = new ModelEntry(this, this.freeName(event.name), event, --this.#lowest);
      this.items.unshift(entry);
      event.link(this);
      taken.push(entry);
    }
    if (missing > 0) {
      this.lost += missing;
      if (this.size > 0) this.#lose(0, missing);
      else this.#lose(this.items.length, missing);
    }
    return taken.length;
  }

  /** Returns the first entry that a stream can take, and the lost events before it. */
  #nextItem(): { entry: ModelEntry | undefined; losses: ModelLoss[] } {
    const losses: ModelLoss[] = [];
    for (const item of this.items) {
      if (item.kind === 'loss') losses.push(item);
      else if (item.event.isComplete) return { entry: item, losses };
    }
    return { entry: undefined, losses };
  }

  /** Returns whether a read of a `.stream` that has `rest` left returns bytes. */
  isReady(rest: string): boolean {
    if (rest !== '') return true;
    const { entry } = this.#nextItem();
    return entry !== undefined || this.items.some(({ kind }) => kind === 'loss');
  }

  /**
   * Reads a `.stream`.
   *
   * @param length if given, how many bytes the daemon has returned: it decides how many events the
   *   reader gets
   */
  read(rest: string, size: number, length = size): Collected {
    const into = new Collected(size, rest);
    while (into.isOpen && into.text.length < length) {
      const { entry, losses } = this.#nextItem();
      const lost = losses.reduce((sum, { count }) => sum + count, 0);
      if (lost > 0) {
        if (!into.add(`${overflowText(lost)}\n`)) break;
        this.items = this.items.filter((item) => item.kind !== 'loss' || !losses.includes(item));
        if (!into.isOpen || entry === undefined) break;
        // The daemon states a loss and takes the event behind it in one go.
        if (into.text.length >= length) break;
      }
      if (entry === undefined || !into.add(entry.event.record)) break;
      this.drop(entry);
    }
    return into;
  }

  wants(event: ModelEvent): boolean {
    return matches(this.filter, event);
  }

  /** Whether rmdir(2) may remove it. */
  get isRemovable(): boolean {
    const { entries } = this;
    return entries.every(
      ({ position, event }) =>
        this.listedTo >= 0 && position >= this.listedTo && event.written === null,
    );
  }
}
