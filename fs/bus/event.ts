/**
 * One uevent: an action, a devpath and properties, as text whose bytes are stored once.
 *
 * The text is `ACTION@DEVPATH\n` and then one `KEY=VALUE\n` a property, in the kernel's order. While the event is in
 * the log its bytes are a slice of the log's ring; when the ring moves on and somebody still holds the event, they are
 * moved to the log's arena (`detach`). A byte that is no part of the text, a `\n`, always follows it in memory: with it the
 * slice is a stream's *record*, which an empty line ends.
 */

import type { Arena, Block, Segment } from './arena.js';
import type { EventQuota } from './quota.js';
import { kernelName, tagsOf } from '../uevent/filter/filter.js';
import { LF } from '../shared/ascii.js';

declare const logIndex: unique symbol;
/** An event's place in the log: the first is 0. No SEQNUM, which events of programs lack and other network namespaces share. */
export type LogIndex = number & { readonly [logIndex]: true };

/** The place of an event that never was in the log: a user's file. */
export const NOT_LOGGED = -1 as LogIndex;

/** Seconds and nanoseconds since the epoch (struct timespec). */
export interface Timestamp {
  readonly sec: number;
  readonly nsec: number;
}

/** The time now. */
export function now(): Timestamp {
  const ms = Date.now();
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1_000_000 };
}

/** What holds events and counts their bytes: a queue. */
export interface Holder {
  bytes: number;
  readonly quota: EventQuota | null;
  refuses(events: number, bytes: number): boolean;
  overflows(events: number, bytes: number): boolean;
  makeRoom(events: number, bytes: number, growing?: Event): void;
  /** How many of its links are to events that are not complete. */
  incomplete: number;
  /** An event that it holds is complete now. */
  becameComplete(): void;
}

/** What an event without text has: two line ends, never written to. */
export const NO_TEXT = new Uint8Array(2).fill(0x0a);

export class Event implements Block {
  /** How many queues hold it: what stat(2) shows as nlink. */
  links = 0;
  /** How many open files hold it. */
  opens = 0;
  /** Whether the bytes are in the log's ring: then they are the ring's to free. */
  inRing = false;
  /** Whether every filter lets it pass: it tells of a loss. */
  always = false;
  /** How many lost events it stands for once it is lost itself: what it tells of, or 1. */
  weight = 1;
  /** Whether no other event of the bus is or was called like this. */
  isUnique = false;
  /** How many bytes are its own in the arena; meaningless elsewhere. */
  capacity = 0;
  segment: Segment | null = null;
  slot = 0;
  #textCache: string | null = null;
  #factsCache: Facts | null = null;

  /**
   * @param name what its file is called: the SEQNUM, bytes as characters
   * @param ino its inode number, the same in every queue
   * @param number its place in the log, or NOT_LOGGED
   * @param bytes where its text is: `length` bytes at `start`, with a `\n` behind them
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

  /** What each link to it costs beyond what a link to a delivered event does, in bytes of heap (tree/prices.ts). */
  get heapBytes(): number {
    return 0;
  }

  /** An event stands for itself wherever an entry of a queue is asked for. */
  get event(): this {
    return this;
  }

  /** Whether a stream may hand it over: false for a file that is still being written. */
  get complete(): boolean {
    return true;
  }

  /** How many bytes at `start` a stream hands over: the text and the empty line that ends a record. */
  get recordLength(): number {
    return this.length + 1;
  }

  /** The text, bytes as characters (latin1). */
  get text(): string {
    return (this.#textCache ??= Buffer.from(
      this.bytes.buffer,
      this.bytes.byteOffset + this.start,
      this.length,
    ).toString('latin1'));
  }

  /** Forgets what `text` and the others worked out: after delivery nobody asks again, and the bytes are stored once. */
  dropCaches(): void {
    this.#textCache = null;
    this.#factsCache = null;
  }

  get #facts(): Facts {
    return (this.#factsCache ??= new Facts(this.text));
  }

  /** The action: what the header line has before its first `@/`. */
  get action(): string {
    return this.#facts.action;
  }

  /** The devpath: what the header line has from the `/` on. */
  get devpath(): string {
    return this.#facts.devpath;
  }

  /** The device's name: the last part of devpath, with `/` for `!`. */
  get kernel(): string {
    return this.#facts.kernel;
  }

  /** The tags in TAGS, as a filter sees them. */
  get tags(): ReadonlySet<string> {
    return this.#facts.tags;
  }

  /** The properties, in the order in which their keys come first. Of a key that comes twice the last value counts, as for udev. */
  get properties(): ReadonlyMap<string, string> {
    return this.#facts.properties;
  }

  /** The value of a property, or undefined. */
  property(key: string): string | undefined {
    return this.#facts.properties.get(key);
  }

  /** A queue holds it from now on. */
  link(_holder: Holder): void {
    this.links++;
  }

  /** A queue lets go. */
  unlink(_holder: Holder): void {
    this.links--;
    this.#dropIfUnheld();
  }

  /** So many open files let go. */
  close(count = 1): void {
    this.opens -= count;
    this.#dropIfUnheld();
  }

  /** The ring is about to write over the bytes: if anybody holds the event, they move to the arena. */
  detach(arena: Arena): void {
    this.inRing = false;
    if (this.#dropIfUnheld()) return;
    arena.resize(this, this.length + 1, this.length);
    this.bytes[this.start + this.length] = LF;
  }

  /** Gives the text room for `capacity` bytes in the arena; the first `kept` of its bytes stay. With 0 it has no text. */
  protected reserve(arena: Arena, capacity: number, kept: number): void {
    if (capacity === 0) this.#freeBytes();
    else arena.resize(this, capacity, kept);
  }

  /** Frees the bytes once the ring, the last queue and the last open file have let go. */
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

/** What filters ask of a text, worked out once for all of them. */
class Facts {
  readonly action: string;
  readonly devpath: string;
  readonly properties = new Map<string, string>();
  #kernel: string | null = null;
  #tags: ReadonlySet<string> | null = null;

  constructor(text: string) {
    const at = text.indexOf('@/');
    let end = lineEnd(text, 0);
    this.action = at < 0 ? '' : text.slice(0, at);
    this.devpath = at < 0 ? '' : text.slice(at + 1, lineEnd(text, at));
    while (end < text.length) {
      const start = end + 1;
      end = lineEnd(text, start);
      const equals = text.indexOf('=', start);
      if (equals > start && equals < end)
        this.properties.set(text.slice(start, equals), text.slice(equals + 1, end));
    }
  }

  get kernel(): string {
    return (this.#kernel ??= kernelName(this.devpath));
  }

  get tags(): ReadonlySet<string> {
    return (this.#tags ??= tagsOf(this.properties.get('TAGS')));
  }
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}
