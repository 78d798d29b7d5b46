/**
 * One uevent: an action, a devpath and properties, as text whose bytes are stored once.
 *
 * The text is `ACTION@DEVPATH\n`, then one `KEY=VALUE\n` a property, in the kernel's order. While
 * the event is in the log, its bytes are a slice of the log's ring. If a queue or an open file
 * still holds the event when the ring overwrites it, the bytes move to the log's arena (`detach`).
 * A `\n` that is no part of the text always follows it in memory. Together they are a stream's
 * *record*, which an empty line ends.
 */

import type { Timestamp } from '../shared/timestamp.js';
import type { Arena, Block, Segment } from './arena.js';
import type { EventQuota } from './quota.js';
import { SourceId, sourceText } from '../uevent/event-source.js';
import { EventValues } from '../uevent/values.js';
import { LF } from '../shared/ascii.js';

declare const logIndex: unique symbol;
/**
 * An event's number in the log; the first is 0. Not a SEQNUM: events of programs have none, and
 * other network namespaces share the kernel's counter.
 */
export type LogIndex = number & { readonly [logIndex]: true };

/** The number of an event that never was in the log: a written event. */
export const NOT_LOGGED = -1 as LogIndex;

/** A holder of events that counts their bytes: a queue. */
export interface Holder {
  /** Bytes of text of all events, once for each link. */
  bytes: number;
  /** The account that the events are charged to. */
  readonly quota: EventQuota | null;
  /** Returns whether the holder must refuse that much more from a user. */
  refuses(events: number, bytes: number): boolean;
  /** Returns whether that much more exceeds the holder's limits. */
  overflows(events: number, bytes: number): boolean;
  /** Drops the oldest events until that much more fits, or until `growing` has gone itself. */
  makeRoom(events: number, bytes: number, growing?: Event): void;
  /** How many of the holder's links are to incomplete events. */
  incomplete: number;
  /** Notes that an event of the holder is complete from now on. */
  becameComplete(): void;
}

/**
 * The most bytes behind a text: a line end, if the text lacks it, and the empty line that ends the
 * record.
 */
export const TRAILER_BYTES = 2;

/** The bytes of an event without text: two line ends. Never written to. */
export const NO_TEXT = new Uint8Array(TRAILER_BYTES).fill(LF);

/** An event, with counts of the links and open files that hold it. */
export class Event implements Block {
  /** How many links the queues have to it: nlink of stat(2). */
  links = 0;
  /** How many open files hold it. */
  opens = 0;
  /** Whether the bytes are in the log's ring: then the ring frees them. */
  inRing = false;
  /** Whether every filter matches it: true for an overflow record. */
  always = false;
  /**
   * How many lost events it counts for when it is lost itself: the number that an overflow record
   * states, else 1.
   */
  weight = 1;
  /** The way by which it came: a SourceId, or the uid of the user that made it. */
  sourceId: number = SourceId.kernel;
  /** Whether no other event of the bus has or had this name. */
  isUnique = false;
  /** How many bytes in the arena belong to it; meaningless outside the arena. */
  capacity = 0;
  segment: Segment | null = null;
  slot = 0;
  #textCache: string | null = null;
  #valuesCache: EventValues<Map<string, string>> | null = null;

  /**
   * @param name the name of its file, the SEQNUM for most; latin1, one character a byte
   * @param ino its inode number, the same in every queue
   * @param number its number in the log, or NOT_LOGGED
   * @param bytes the memory that holds the text, with a `\n` behind the text
   * @param start the text's offset in `bytes`
   * @param length the text's length in bytes
   * @param time when the event came: its modification time
   */
  constructor(
    readonly name: string,
    readonly ino: number,
    readonly number: LogIndex,
    public bytes: Uint8Array,
    public start: number,
    public length: number,
    public time: Timestamp,
  ) {}

  /**
   * What each link to it costs more than a link to a delivered event does, in bytes of heap
   * (tree/prices.ts).
   */
  get heapBytes(): number {
    return 0;
  }

  /** The event itself: so an event can be an entry of a queue. */
  get event(): this {
    return this;
  }

  /** Whether a stream may hand the event over: false while a user still writes the file. */
  get complete(): boolean {
    return true;
  }

  /** The bytes of the record from `start` on: the text and the empty line that ends it. */
  get recordLength(): number {
    return this.length + 1;
  }

  /** The text; latin1, one character a byte. */
  get text(): string {
    return (this.#textCache ??= Buffer.from(
      this.bytes.buffer,
      this.bytes.byteOffset + this.start,
      this.length,
    ).toString('latin1'));
  }

  /**
   * Drops the decoded text and the parsed values, so that only the bytes stay in memory. After
   * delivery they are not needed again.
   */
  dropCaches(): void {
    this.#textCache = null;
    this.#valuesCache = null;
  }

  get #values(): EventValues<Map<string, string>> {
    return (this.#valuesCache ??= new EventValues(this.text, new Map<string, string>()));
  }

  /** The action: the header line up to its first `@/`. */
  get action(): string {
    return this.#values.action;
  }

  /** The devpath: the header line from the `/` of its first `@/` on. */
  get devpath(): string {
    return this.#values.devpath;
  }

  /** The device's name: the last part of the devpath, with `/` for each `!`. */
  get kernel(): string {
    return this.#values.kernel;
  }

  /** The tags of the property TAGS, as `tagsOf` splits them for filters. */
  get tags(): ReadonlySet<string> {
    return this.#values.tags;
  }

  /**
   * The properties, in the order in which their keys first occur. If a key occurs twice, the last
   * value counts, as for udev.
   */
  get properties(): ReadonlyMap<string, string> {
    return this.#values.properties;
  }

  /** The way by which the event came, as filters match it: see uevent/event-source.ts. */
  get source(): string {
    return sourceText(this.sourceId);
  }

  /** Returns the value of a property, or undefined. */
  property(key: string): string | undefined {
    return this.#values.properties.get(key);
  }

  /** Counts a new link from a queue. */
  link(_holder: Holder): void {
    this.links++;
  }

  /** Removes a link, and frees the bytes after the last one. */
  unlink(_holder: Holder): void {
    this.links--;
    this.#dropIfUnheld();
  }

  /** Removes `count` open files, and frees the bytes after the last one. */
  close(count = 1): void {
    this.opens -= count;
    this.#dropIfUnheld();
  }

  /**
   * Moves the bytes to the arena if a queue or an open file holds the event, else drops them. The
   * log calls it before the ring overwrites them.
   * @param arena the log's arena
   * @returns whether the event is held
   */
  detach(arena: Arena): boolean {
    this.inRing = false;
    if (this.#dropIfUnheld()) return false;
    arena.resize(this, this.length + 1, this.length);
    this.bytes[this.start + this.length] = LF;
    return true;
  }

  /**
   * Takes a text from the state of the last daemon into the arena.
   * @param arena the log's arena
   */
  restoreText(arena: Arena, text: Uint8Array): void {
    if (text.length === 0) return;
    this.bytes = text;
    this.start = 0;
    this.length = text.length;
    arena.resize(this, text.length + TRAILER_BYTES, text.length);
    this.bytes.fill(LF, this.start + text.length, this.start + text.length + TRAILER_BYTES);
  }

  /**
   * Resizes the text's room in the arena.
   * @param arena the arena that holds the text, or will hold it
   * @param capacity the new room in bytes; 0 frees it
   * @param kept how many bytes of the text are copied
   */
  protected reserve(arena: Arena, capacity: number, kept: number): void {
    if (capacity === 0) this.#freeBytes();
    else arena.resize(this, capacity, kept);
  }

  /**
   * Frees the bytes if neither the ring nor a queue nor an open file holds them.
   * @returns whether it has freed them
   */
  #dropIfUnheld(): boolean {
    if (this.inRing || this.links > 0 || this.opens > 0) return false;
    this.#freeBytes();
    this.length = 0;
    return true;
  }

  #freeBytes(): void {
    this.segment?.arena.free(this);
    this.bytes = NO_TEXT;
    this.start = this.capacity = 0;
  }
}

/**
 * Returns what an entry costs beyond the price that all entries have.
 * @param name the entry's name
 * @param event its event
 * @returns bytes of heap
 */
export function heapOf(name: string, event: Event): number {
  return name.length + event.heapBytes;
}
