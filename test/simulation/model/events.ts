/** The model's events, its log and its streams: lists and strings, each looked at in full. */
import type { Account } from './quota.js';
import type { ModelDirectory } from './directory.js';

/** The part of an event that a user has made as a file. */
interface Written {
  uid: number;
  gid: number;
  /** The permission bits. */
  mode: number;
  writers: number;
  /** The account that is charged while only open files hold the event. */
  keeper: Account | null;
}

/** An event. */
export class ModelEvent {
  ino = 0;
  /** The queues that have it, once for each link; `log/` is one. */
  readonly holders: (ModelDirectory | null)[] = [];
  opens = 0;
  isInRing = false;
  written: Written | null = null;

  /** @param number its number in the log; -1 for a written event */
  constructor(
    readonly name: string,
    public text: string,
    readonly number: number,
    readonly weight: number,
    readonly isLoss: boolean,
    readonly source: string,
  ) {}

  get links(): number {
    return this.holders.length;
  }

  get isComplete(): boolean {
    return this.written === null || this.written.writers === 0;
  }

  /** The record of a stream. */
  get record(): string {
    return this.written !== null && !this.text.endsWith('\n')
      ? `${this.text}\n\n`
      : `${this.text}\n`;
  }

  /** Adds a link. */
  link(holder: ModelDirectory | null): void {
    this.holders.push(holder);
    const keeper = this.written?.keeper ?? null;
    if (keeper === null) return;
    keeper.addEvents(-1, -this.text.length);
    this.written!.keeper = null;
  }

  /** Removes a link. */
  unlink(holder: ModelDirectory | null): void {
    this.holders.splice(this.holders.indexOf(holder), 1);
    if (this.written !== null && this.links === 0 && this.opens > 0) {
      this.written.keeper = holder!.account;
      holder!.account.addEvents(1, this.text.length);
    }
    this.free();
  }

  /** Removes open files. */
  close(count: number): void {
    this.opens -= count;
    if (this.opens === 0 && this.written !== null && this.written.keeper !== null) {
      this.written.keeper.addEvents(-1, -this.text.length);
      this.written.keeper = null;
    }
    this.free();
  }

  /** Drops the text if nothing holds it. */
  free(): void {
    if (!this.isInRing && this.links === 0 && this.opens === 0) this.text = '';
  }
}

/** Returns whether a filter of the simulation takes an event: lines of `K==n`. */
export function matches(filter: string, event: ModelEvent): boolean {
  if (filter === '' || event.isLoss) return true;
  const value = [...event.text.matchAll(/^K=([^\n]*)$/gm)].at(-1)?.[1]; // the last one counts
  return filter.split('\n').some((line) => line === `K==${value}`);
}

/** Returns the overflow record for a number of lost events. */
export function overflowText(lost: number): string {
  return `overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\nLOST=${lost}\n`;
}

/** An open `stream` or file of `match/`. */
export class ModelStream {
  /** The rest of a record that did not fit. */
  rest = '';
  /** How many events it has lost and not been told of. */
  missing = 0;

  /** @param next the number of the next event to look at */
  constructor(
    readonly filter: string,
    public next: number,
  ) {}
}

/** A read that collects whole records; only the first may be cut. */
export class Collected {
  text = '';
  rest = '';

  /** @param rest what a former read has left of a record */
  constructor(
    private readonly size: number,
    rest: string,
  ) {
    if (rest !== '') this.#put(rest);
  }

  /** Whether more records may follow. */
  get isOpen(): boolean {
    return this.rest === '' && this.text.length < this.size;
  }

  /** Adds a record; returns false if it does not fit. */
  add(record: string): boolean {
    if (!this.isOpen || (this.text !== '' && this.text.length + record.length > this.size))
      return false;
    this.#put(record);
    return true;
  }

  #put(record: string): void {
    const room = this.size - this.text.length;
    this.text += record.slice(0, room);
    this.rest = record.slice(room);
  }
}

/** One event of the log's index for `.since`. */
interface Logged {
  readonly number: number;
  readonly seqnumBefore: number;
  /** The highest SEQNUM that is a name, up to and including the event. */
  readonly highest: number;
  readonly name: string;
  readonly weight: number;
  readonly isLoss: boolean;
}

/** How far back `.since` can look. */
const INDEXED = 16 * 1024;
/** How much of the ring a guarded daemon keeps free. */
const RESERVE_BYTES = 320 * 1024;

/** The log: its ring, its index, and its streams. */
export class ModelLog {
  next = 0;
  /** The highest SEQNUM that is a name. */
  highest = -1;
  /** The events whose text is in the ring, oldest first, with their places. */
  readonly ring: { readonly event: ModelEvent; readonly start: number }[] = [];
  #end = 0;
  readonly index: Logged[] = [];
  readonly streams = new Set<ModelStream>();

  constructor(
    readonly bytes: number,
    readonly events: number,
  ) {}

  append(event: ModelEvent, seqnumBefore: number): void {
    const size = event.text.length + 1;
    if (this.ring.length === this.events) this.#overtake();
    if (this.#end + size > this.bytes) {
      this.#overtakeIn(this.#end, this.bytes);
      this.#end = 0;
    }
    this.#overtakeIn(this.#end, this.#end + size);
    event.isInRing = true;
    this.ring.push({ event, start: this.#end });
    this.#end += size;
    this.next++;
    const { number, name, weight, isLoss } = event;
    const { highest } = this;
    this.index.push({ number, name, seqnumBefore, highest, weight, isLoss });
    if (this.index.length > 2 * INDEXED) this.index.splice(0, INDEXED);
  }

  #overtakeIn(from: number, to: number): void {
    while (this.ring.length > 0 && this.ring[0].start >= from && this.ring[0].start < to)
      this.#overtake();
  }

  #overtake(): void {
    const { event } = this.ring.shift()!;
    for (const stream of this.streams) {
      if (stream.next > event.number) continue;
      stream.next = event.number + 1;
      if (matches(stream.filter, event)) stream.missing += event.weight;
    }
    event.isInRing = false;
    event.free();
  }

  /** Overwrites old events, so that the next transaction has room (Log.reserve). */
  reserve(): void {
    const end = this.#end + RESERVE_BYTES;
    this.#overtakeIn(this.#end, Math.min(end, this.bytes));
    if (end > this.bytes) this.#overtakeIn(0, RESERVE_BYTES);
  }

  /** Makes the index begin with the ring, as a restart does. */
  restarted(): void {
    const oldest = this.ring.length > 0 ? this.ring[0].event.number : this.next;
    this.index.splice(0, this.index.findIndex(({ number }) => number >= oldest) >>> 0);
  }

  /** Returns the number of an event that has had the name, or undefined. */
  numberOf(name: string, newest: number): number | undefined {
    const known = this.index.slice(-INDEXED);
    if (name.includes('.')) return known.find((logged) => logged.name === name)?.number;
    const seqnum = Number(name);
    const at = known.findIndex(({ highest }) => highest >= seqnum);
    if (at === 0 && known[0].number > 0) return seqnum > newest ? known[0].number - 1 : undefined;
    return at >= 0 && known[at].highest === seqnum ? known[at].number : undefined;
  }

  /** Returns whether a read of the stream returns bytes. */
  isReady(stream: ModelStream): boolean {
    return stream.rest !== '' || stream.missing > 0 || this.#unread(stream).length > 0;
  }

  #unread({ filter, next }: ModelStream): ModelEvent[] {
    const unread: ModelEvent[] = [];
    for (let at = this.ring.length - 1; at >= 0 && this.ring[at].event.number >= next; at--)
      if (matches(filter, this.ring[at].event)) unread.unshift(this.ring[at].event);
    return unread;
  }

  /** Reads a stream. */
  read(stream: ModelStream, size: number): string {
    const into = new Collected(size, stream.rest);
    const { missing } = stream;
    if (missing > 0 && into.isOpen && into.add(`${overflowText(missing)}\n`)) stream.missing = 0;
    if (stream.missing === 0) {
      for (const event of this.#unread(stream)) {
        if (!into.add(event.record)) break;
        stream.next = event.number + 1;
      }
    }
    stream.rest = into.rest;
    return into.text;
  }

  /** Returns the sum of the weights from one number up to another. */
  weight(from: number, to: number): number {
    let sum = 0;
    for (const { number, weight } of this.index) if (number >= from && number < to) sum += weight;
    return sum;
  }

  /** Returns the first event after a SEQNUM, and how many before it the index does not know. */
  after(seqnum: number, last: number, newest: number): { number: number; unknown: number } {
    const known = this.index.slice(-INDEXED);
    if (known.length === 0) return { number: 0, unknown: last - seqnum };
    const oldest = known[0].number;
    let at = known.findIndex(({ seqnumBefore }) => seqnumBefore >= seqnum);
    if (at < 0) at = known.length;
    const isKnown = at > 0;
    const passedBy = at === known.length ? newest : known[at].seqnumBefore;
    if (at > 0 && passedBy > seqnum) {
      at--;
      while (at > 0 && known[at - 1].isLoss) at--;
    }
    const before = at === known.length ? newest : known[at].seqnumBefore;
    return { number: oldest + at, unknown: isKnown ? 0 : Math.min(last, before) - seqnum };
  }
}
