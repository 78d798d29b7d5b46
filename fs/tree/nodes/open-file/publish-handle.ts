/**
 * An open file `publish`: it takes the records of each write(2), and keeps what waits for the next.
 */
import { clock } from '../../../shared/clock.js';
import { NUL, LF } from '../../../shared/ascii.js';
import { MAX_WRITE_BYTES } from '../../../shared/kernel/write-size.js';
import { Errno, FsError } from '../../../shared/errors.js';
import {
  EMPTY_LINE,
  beginsEvent,
  endsLine,
  lineEnd,
  recordEnd,
  skipLineEnds,
} from '../../../uevent/records.js';
import { MAX_EVENT_BYTES } from '../../../uevent/text.js';
import type { Bus } from '../../../bus/bus.js';
import { restHeap } from '../../prices.js';
import { TOO_LONG } from '../../written/written-event.js';
import { Handle, type HandleType, type Node, Poll } from '../node.js';

/** The file `publish`, as its open files see it. */
export interface PublishTarget extends Node {
  readonly bus: Bus;
  /**
   * Checks a record without publishing it.
   * @throws FsError EINVAL if it is not an event, EFBIG if it is larger than an event may be
   */
  check(bytes: Uint8Array, start: number, length: number): void;
  /** Publishes a record of the user `uid`. */
  take(bytes: Buffer, start: number, length: number, uid: number): void;
  /** Publishes a record that may be one of many. */
  takeOneOfMany(bytes: Buffer, start: number, length: number, uid: number, hasNul: boolean): void;
}

const LINE_END = Buffer.from('\n');
const NOTHING = Buffer.alloc(0);
/** The bits of `PublishHandle.#state`. */
const Kept = { text: 1, isCut: 2, isBetween: 4, wasLargest: 8, rest: 16 } as const;
/** How long the records of one write may hold the daemon, in ms; the next write takes the rest. */
const MOST_MS = 0.4;

/**
 * An open `publish`.
 * A write(2) without an empty line is one event. In a write with empty lines each empty line ends a
 * record, and each record is an event. Two kinds of text wait for the next write:
 * - A header alone, because bash writes the output of its builtins line by line. Properties are
 *   added to it until another header, an empty line or close(2).
 * - A record that follows others and has no empty line yet: cat(1) and dd(1) cut a file where their
 *   buffer ends, and the kernel cuts at {@link MAX_WRITE_BYTES}. The daemon takes the write with
 *   the others in part, the next write brings the rest, and that rest waits. From then on only an
 *   empty line, another header or close(2) ends a record.
 */
export class PublishHandle extends Handle {
  /** The record that waits for the next write. All its whole lines are valid. */
  #begun: Buffer | null = null;
  /** Whether a write has ended inside a record. */
  #isCut = false;
  /** How many bytes of the last write were not taken: the next write begins with them. */
  #rest = 0;
  /** Whether an empty line ended the last record: more may come before the next one. */
  #isBetween = false;
  /** Whether the kernel may have cut the last write. */
  #wasLargest = false;

  /** @param uid the user that opened the file: the source of each event, also if another writes */
  constructor(
    override readonly node: PublishTarget,
    private readonly uid: number,
  ) {
    super(node);
  }

  override get recordType(): HandleType {
    return 'publish';
  }

  protected override get recordNumbers(): string {
    return `${this.uid} ${this.#state} ${this.#rest}`;
  }

  protected override get recordBytes(): Uint8Array {
    return this.#begun ?? NOTHING;
  }

  /** All that is kept from one write to the next besides the text and `#rest`, as bits. */
  get #state(): number {
    return (
      (this.#begun === null ? 0 : Kept.text) |
      (this.#isCut ? Kept.isCut : 0) |
      (this.#isBetween ? Kept.isBetween : 0) |
      (this.#wasLargest ? Kept.wasLargest : 0) |
      (this.#rest > 0 ? Kept.rest : 0)
    );
  }

  /**
   * Makes an open file of the last daemon, with the record that waits.
   * @param numbers the numbers of its record
   * @param text the bytes of its record
   */
  static restore(node: PublishTarget, numbers: readonly number[], text: Uint8Array): PublishHandle {
    const [uid, state, rest] = numbers;
    const handle = new PublishHandle(node, uid);
    if ((state & Kept.text) !== 0) handle.#begun = Buffer.from(text);
    handle.#isCut = (state & Kept.isCut) !== 0;
    handle.#isBetween = (state & Kept.isBetween) !== 0;
    handle.#wasLargest = (state & Kept.wasLargest) !== 0;
    handle.#rest = rest;
    return handle;
  }

  /** Always true: every write begins at 0, wherever the last one ended. */
  override get isStream(): boolean {
    return true;
  }

  /**
   * write(2). Publishes the records that end in it.
   * @returns the number of bytes taken. It is less than `length`, and ends with a record, if a
   *   later record is malformed or has no end yet, or if the records hold the daemon for too long
   * @throws FsError EINVAL if the first record is malformed, EFBIG if it is larger than an event
   * may be, EDQUOT or ENOSPC if the opener cannot be charged for a text that waits
   */
  override write(bytes: Uint8Array, start: number, length: number): number {
    const [before, rest] = [this.#state, this.#rest];
    try {
      return this.#write(bytes, start, length);
    } finally {
      if (this.#begun !== null || this.#state !== before || this.#rest !== rest) this.changed();
    }
  }

  #write(bytes: Uint8Array, start: number, length: number): number {
    const written = Buffer.from(bytes.buffer, bytes.byteOffset + start, length);
    if (this.#begun !== null && this.#endedBy(written)) this.#finish();
    this.#wasLargest = length >= MAX_WRITE_BYTES;
    const begun = this.#begun;
    this.#wait(null); // if a line is malformed, nothing of the record is published
    if (begun !== null) {
      const text = Buffer.concat([begun, this.#separator(begun, written), written]);
      return this.#isCut
        ? this.#takeRecords(text, text.length - length, true, text.includes(NUL))
        : this.#addLines(text, length);
    }
    if (!written.includes(NUL))
      return this.#takeRecords(written, 0, lineEnd(written) >= length - 1, false);
    this.node.take(written, 0, length, this.uid);
    return length;
  }

  /** Returns whether the record that waits is whole, because `written` begins another. */
  #endedBy(written: Buffer): boolean {
    return beginsEvent(written) && (!this.#isCut || endsLine(this.#begun!));
  }

  /**
   * Returns the line end to put between the two texts, if any. A header without a line end is a
   * whole line, unless a block of a file ends there.
   */
  #separator(begun: Buffer, written: Buffer): Buffer {
    return this.#isCut || endsLine(begun) || written[0] === LF ? NOTHING : LINE_END;
  }

  /**
   * Adds lines to a header that waits.
   * @returns `length`
   * @throws FsError EINVAL if any text stands behind an empty line
   */
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
   * Publishes the records of a text that an empty line ends, and keeps what follows.
   * @param base where this write begins in `text`
   * @param waits whether a text without an empty line waits for the next write
   * @param hasNul whether there is a NUL in `text`
   * @returns the bytes of this write that were taken
   */
  #takeRecords(text: Buffer, base: number, waits: boolean, hasNul: boolean): number {
    const isRest = this.#rest > 0 && text.length - base >= this.#rest;
    const first = this.#isBetween ? skipLineEnds(text, 0) : 0;
    this.#rest = 0;
    const from = this.#takeWhole(text, first, hasNul);
    if (from > first) {
      this.node.bus.settleLater();
      return from - base;
    }
    this.#keep(text, from, isRest, waits);
    return text.length - base;
  }

  /**
   * Publishes the records of a text that an empty line ends, as many as may hold the daemon.
   * @param first where the first one begins
   * @returns where the first one begins that was not published
   * @throws FsError like `write`, if the first record is malformed
   */
  #takeWhole(text: Buffer, first: number, hasNul: boolean): number {
    let [from, began, count] = [first, 0, 0];
    try {
      for (let end = recordEnd(text, from); end >= 0; end = recordEnd(text, from)) {
        // Most writes have one record, and need no clock.
        if (count === 1) began = clock.monotonicMs();
        else if (count > 1 && clock.monotonicMs() - began >= MOST_MS) break;
        this.node.takeOneOfMany(text, from, end - from, this.uid, hasNul);
        this.#isBetween = true;
        from = skipLineEnds(text, end);
        if (from === text.length) return from;
        count++;
      }
    } catch (error) {
      // After a published record the write succeeds: the next write begins with this record, and
      // fails.
      if (from === first) throw error;
      return from;
    }
    if (from > first) this.#rest = text.length - from;
    return from;
  }

  /**
   * Handles a record that no empty line ends: it waits, or it is an event by itself.
   * @param isTail whether it is the rest of a write that had records before it
   */
  #keep(text: Buffer, from: number, isTail: boolean, waits: boolean): void {
    if (from === text.length) return;
    this.#isCut ||= isTail;
    if (!this.#isCut && !waits) {
      this.#isBetween = false;
      return this.node.take(text, from, text.length - from, this.uid);
    }
    const end = this.#isCut ? text.lastIndexOf(LF) + 1 : text.length; // the last line may be cut
    if (text.length - from > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    if (end > from) this.node.check(text, from, end - from);
    // A copy, because the next request overwrites the memory. Not from the pool of Buffer, because
    // the whole pool would stay in memory with it.
    const kept = Buffer.allocUnsafeSlow(text.length - from);
    text.copy(kept, 0, from);
    this.#wait(kept);
  }

  /** Publishes the record that waits. */
  #finish(): void {
    const begun = this.#begun!;
    this.#wait(null);
    this.#isBetween = false;
    this.node.take(begun, 0, begun.length, this.uid);
  }

  /**
   * Keeps a text for the next write and charges the opener for it. With null it frees the kept
   * text.
   * @throws FsError EDQUOT or ENOSPC
   */
  #wait(text: Buffer | null): void {
    this.chargeHeap(restHeap(text?.length ?? 0) - restHeap(this.#begun?.length ?? 0));
    this.#begun = text;
  }

  override poll(): number {
    return Poll.out | Poll.writeNormal;
  }

  /**
   * close(2). Publishes the record that waits if it is whole. A record that may have been cut is
   * not an event, because its writer may have been killed in the middle of it: `log/.status` counts
   * it.
   */
  override release(): void {
    if (this.#begun === null) return;
    if (!this.#isCut || (endsLine(this.#begun) && !this.#wasLargest)) this.#finish();
    else {
      this.node.bus.counted.cut++;
      this.node.bus.log.recorder?.counted();
    }
  }
}
