/** `publish`: a write(2) is one event, or several with an empty line behind each, and every queue gets them. */
import type { Bus } from '../../bus/bus.js';
import {
  MAX_EVENT_BYTES,
  MalformedUevent,
  OversizedUevent,
  UeventText,
} from '../../uevent/text.js';
import { Errno, FsError } from '../../shared/errors.js';
import { type Attributes, Handle, type Lifetime, type NodeId, Poll } from './node.js';
import { restHeap } from '../prices.js';
import { RootFile } from './root-file.js';
import { LF, NUL } from '../../shared/ascii.js';
import { TOO_LONG } from '../written-event.js';

export class PublishFile extends RootFile {
  readonly text = new UeventText();

  constructor(
    id: NodeId,
    lifetime: Lifetime,
    readonly bus: Bus,
  ) {
    super(id, lifetime, 0o200);
  }

  override open(): Handle {
    return new PublishHandle(this);
  }

  /**
   * Its size is that of the largest event: a write that stays within the size does not wait for others in the kernel
   * (fs/fuse/file.c, fuse_dio_wr_exclusive_lock), so publishers do not wait for each other.
   */
  override attributes(to: Attributes): void {
    super.attributes(to);
    to.size = MAX_EVENT_BYTES;
  }

  /**
   * Reads a record without publishing it.
   *
   * @param length in bytes; line ends behind the text may be among them
   * @throws FsError EINVAL where it is no event, EFBIG where it is larger than one may be
   */
  check(bytes: Uint8Array, start: number, length: number): void {
    this.#read(bytes, start, length);
  }

  /** Publishes a record. Parameters and errors as of `check`. */
  take(bytes: Uint8Array, start: number, length: number): void {
    this.#read(bytes, start, length);
    this.bus.publish(this.text);
    this.bus.settleLater();
  }

  #read(bytes: Uint8Array, start: number, length: number): void {
    let end = start + length;
    while (end > start && bytes[end - 1] === LF) end--;
    if (end - start > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    try {
      this.text.readPublished(bytes, start, length);
    } catch (error) {
      if (error instanceof MalformedUevent) throw new FsError(Errno.EINVAL, error.message);
      if (error instanceof OversizedUevent) throw new FsError(Errno.EFBIG, error.message);
      throw error;
    }
  }
}

const EMPTY_LINE = Buffer.from('\n\n');
const LINE_END = Buffer.from('\n');
const NOTHING = Buffer.alloc(0);

/** The kernel hands on a larger write(2) in pieces of this many bytes (fs/fuse/session.ts, MAX_WRITE_BYTES). */
const LARGEST_WRITE = 128 * 1024;
/** The most records of one write, and for how long they may hold the daemon, in ms: the rest is for the next write. */
const MOST_RECORDS = 256;
const MOST_MS = 0.25;

/**
 * An open `publish`.
 *
 * A write(2) without an empty line is one event. A write with empty lines has a record before each, and each is an event.
 * Two kinds of text wait for the next write:
 * - A header alone, because bash writes the output of its builtins line by line. Properties join it until another header, an
 *   empty line or close(2).
 * - A record behind others that has no empty line yet: cat(1) and dd(1) cut a file where their buffer ends, and the kernel
 *   cuts at {@link LARGEST_WRITE}. The write with the others is taken in part, the next write brings the rest, and that
 *   waits. From then on only an empty line, another header or close(2) ends a record.
 */
class PublishHandle extends Handle {
  /** The record that waits. All its whole lines are valid. */
  #begun: Buffer | null = null;
  /** Whether a write has ended inside a record. */
  #isCut = false;
  /** How many bytes of the last write were not taken, because they were behind others: the next write begins with them. */
  #rest = 0;
  /** Whether blank lines may come before the next record: an empty line has ended one. */
  #isBetween = false;
  /** Whether the kernel may have cut the last write. */
  #wasLargest = false;

  constructor(override readonly node: PublishFile) {
    super(node);
  }

  /** Every write begins at 0, wherever the last has ended. */
  override get isStream(): boolean {
    return true;
  }

  /**
   * write(2). Publishes the records that end in it.
   *
   * @returns the bytes taken: fewer than `length`, up to the end of a record, where a later record is malformed or has no end yet,
   * or where more records would hold the daemon for too long
   * @throws FsError EINVAL where the first record is malformed, EFBIG where it is larger than an event may be
   */
  override write(bytes: Uint8Array, start: number, length: number): number {
    const written = Buffer.from(bytes.buffer, bytes.byteOffset + start, length);
    if (this.#begun !== null && this.#endedBy(written)) this.#finish();
    this.#wasLargest = length >= LARGEST_WRITE;
    const begun = this.#begun;
    this.#wait(null); // of a record with a line that is none, nothing is published
    if (begun !== null) {
      const text = Buffer.concat([begun, this.#separator(begun, written), written]);
      return this.#isCut
        ? this.#takeRecords(text, text.length - length, true)
        : this.#addLines(text, length);
    }
    if (!written.includes(NUL))
      return this.#takeRecords(written, 0, lineEnd(written) >= length - 1);
    this.node.take(written, 0, length);
    return length;
  }

  /** Whether the record that waits is whole, because `written` begins another. */
  #endedBy(written: Buffer): boolean {
    return beginsEvent(written) && (!this.#isCut || endsLine(this.#begun!));
  }

  /** A header without a line end is a line all the same, unless a block of a file ends there. */
  #separator(begun: Buffer, written: Buffer): Buffer {
    return this.#isCut || endsLine(begun) || written[0] === LF ? NOTHING : LINE_END;
  }

  /** Lines join a header that waits. EINVAL where anything stands behind an empty line. */
  #addLines(text: Buffer, length: number): number {
    this.node.check(text, 0, text.length);
    this.#wait(text);
    if (text.subarray(-EMPTY_LINE.length).equals(EMPTY_LINE)) {
      this.#finish();
      this.#isBetween = true;
    }
    return length;
  }

  /**
   * @param base where in `text` this write begins
   * @param waits whether a text without an empty line waits for the next write
   * @returns the bytes of this write that were taken
   */
  #takeRecords(text: Buffer, base: number, waits: boolean): number {
    let began = 0;
    const isRest = this.#rest > 0 && text.length - base >= this.#rest;
    let from = this.#isBetween ? skipLineEnds(text, 0) : 0;
    let count = 0;
    this.#rest = 0;
    try {
      for (let end = recordEnd(text, from); end >= 0; end = recordEnd(text, from)) {
        if (count >= MOST_RECORDS || (count > 1 && performance.now() - began >= MOST_MS)) break;
        this.node.take(text, from, end - from);
        this.#isBetween = true;
        from = skipLineEnds(text, end);
        if (from === text.length) return from - base; // most writes have one record
        if (count++ === 0) began = performance.now();
      }
      if (count === 0) this.#keep(text, from, isRest, waits);
      else this.#rest = text.length - from;
    } catch (error) {
      if (count === 0) throw error; // else the next write begins with it, and is refused
    }
    return (count === 0 ? text.length : from) - base;
  }

  /**
   * The record that no empty line ends: it waits, or it is an event by itself.
   *
   * @param isTail whether there were records before it, in the write of which this is the rest
   */
  #keep(text: Buffer, from: number, isTail: boolean, waits: boolean): void {
    if (from === text.length) return;
    this.#isCut ||= isTail;
    if (!this.#isCut && !waits) {
      this.#isBetween = false;
      return this.node.take(text, from, text.length - from);
    }
    const end = this.#isCut ? text.lastIndexOf(LF) + 1 : text.length; // the last line may be cut
    if (text.length - from > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    if (end > from) this.node.check(text, from, end - from);
    // Copied, since the next request overwrites the memory; and not into Buffer's pool, which would stay with it.
    const kept = Buffer.allocUnsafeSlow(text.length - from);
    text.copy(kept, 0, from);
    this.#wait(kept);
  }

  #finish(): void {
    const begun = this.#begun!;
    this.#wait(null);
    this.#isBetween = false;
    this.node.take(begun, 0, begun.length);
  }

  /**
   * Keeps a text that waits for the next write, charged to the opener; or, with null, lets go of it.
   * @throws FsError EDQUOT or ENOSPC
   */
  #wait(text: Buffer | null): void {
    this.chargeHeap(restHeap(text?.length ?? 0) - restHeap(this.#begun?.length ?? 0));
    this.#begun = text;
  }

  override poll(): number {
    return Poll.out | Poll.writeNormal;
  }

  /** A record that was cut is no event: its writer may have been killed in the middle of it. `log/.status` counts it. */
  override release(): void {
    if (this.#begun === null) return;
    if (!this.#isCut || (endsLine(this.#begun) && !this.#wasLargest)) this.#finish();
    else this.node.bus.counted.cut++;
  }
}

/** Where the record at `from` ends, its empty line not included; -1 where no empty line ends it. */
function recordEnd(text: Buffer, from: number): number {
  const end = text.indexOf(EMPTY_LINE, from);
  return end < 0 ? -1 : end + 1;
}

function skipLineEnds(text: Buffer, from: number): number {
  while (text[from] === LF) from++;
  return from;
}

function endsLine(text: Buffer): boolean {
  return text[text.length - 1] === LF;
}

function lineEnd(text: Buffer): number {
  const end = text.indexOf(LF);
  return end < 0 ? text.length : end;
}

/** Whether the first line is `ACTION@/DEVPATH` rather than `KEY=VALUE`. */
function beginsEvent(text: Buffer): boolean {
  const line = text.subarray(0, lineEnd(text));
  const at = line.indexOf('@/');
  const equals = line.indexOf('=');
  return at >= 0 && (equals < 0 || at < equals);
}
