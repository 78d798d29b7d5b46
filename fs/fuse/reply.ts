/** Builds replies in the memory that the channel writes from. */
import type { Timestamp } from '../shared/timestamp.js';
import { FUSE_NOTIFY_POLL, FUSE_NOTIFY_RESEND, InHeader, Size } from './abi.js';

const TWO_32 = 2 ** 32;
const BLOCK_BYTES = 512;
const PREFERRED_IO_BYTES = 4096;
const S_IFMT_SHIFT = 12;

declare const outcome: unique symbol;
/**
 * The value that a handler returns: `DONE` or `NO_REPLY` (opcodes.ts), or the value that `refuse`
 * returns.
 */
export type Outcome = number & { readonly [outcome]: true };

/** The attributes that a fuse_attr carries. `size` is in bytes; `mode` includes the file type. */
export interface Attr {
  readonly ino: number;
  readonly size: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

/** The reply under construction. One object serves all replies, one after the other. */
export class Reply {
  /** The memory that the channel writes replies from. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  /** The index of the next 32-bit word. */
  #at = 0;
  /** The number of bytes that a READDIR may still add. */
  room = 0;
  /** The number of bytes that the channel appends from the log. */
  sliceBytes = 0;
  /** The number of bytes behind the word `#at`: names and data need not fill a word. */
  #unpadded = 0;
  /** The reason of the last refusal. Only the trace reads it and clears it. */
  why: string | undefined = undefined;

  readonly #request: Uint32Array;

  /**
   * @param bytes the memory for replies, 8-byte aligned
   * @param request the memory of the request that this object replies to
   */
  constructor(bytes: Uint8Array, request: Uint8Array) {
    this.bytes = bytes;
    this.#words = words(bytes);
    this.#request = words(request);
  }

  /**
   * Begins a reply behind its header. Between `begin` and `end`, a notification may use the same
   * header memory.
   */
  begin(): void {
    this.#at = Size.fuse_out_header >>> 2;
    this.#unpadded = 0;
    this.room = 0;
    this.sliceBytes = 0;
  }

  /**
   * Ends the reply: writes its fuse_out_header.
   *
   * @returns the length in bytes, without the slice that the channel appends
   */
  end(): number {
    const length = this.#at * 4 + this.#unpadded;
    this.#header(length + this.sliceBytes, 0);
    return length;
  }

  /**
   * Builds an error reply. It replaces everything that was built so far.
   *
   * @param errno a positive errno
   * @returns the length in bytes
   */
  error(errno: number): number {
    this.begin();
    this.#header(Size.fuse_out_header, -errno);
    return Size.fuse_out_header;
  }

  /**
   * Builds a recorded reply again.
   *
   * @param error 0, or a negative errno
   * @param body the bytes behind the header
   * @returns the length in bytes
   */
  repeat(error: number, body: Uint8Array): number {
    this.begin();
    this.bytes.set(body, Size.fuse_out_header);
    const length = Size.fuse_out_header + body.length;
    this.#header(length, error);
    return length;
  }

  /**
   * Refuses a request: a handler returns this value instead of throwing an FsError.
   *
   * @param errno a positive errno
   * @param why the reason for the trace; a constant, so that a refusal costs no more than an errno
   */
  refuse(errno: number, why: string): Outcome {
    this.why = why;
    return errno as Outcome;
  }

  #header(length: number, error: number): void {
    const to = this.#words;
    to[0] = length;
    to[1] = error;
    to[2] = this.#request[InHeader.unique >>> 2];
    to[3] = this.#request[(InHeader.unique >>> 2) + 1];
  }

  /**
   * Counts `length` bytes that the handler has already put behind the header: the data of a READ.
   */
  filled(length: number): void {
    this.#unpadded += length;
  }

  /** Adds a u32. */
  u32(value: number): void {
    this.#words[this.#at++] = value;
  }

  /**
   * Adds a u64.
   *
   * @param value an integer from 0 to 2^53
   */
  u64(value: number): void {
    this.#words[this.#at++] = value;
    this.#words[this.#at++] = value / TWO_32;
  }

  /**
   * Adds a name as the last part of the reply.
   *
   * @param text one character for each byte
   */
  text(text: string): void {
    const at = this.#at * 4 + this.#unpadded;
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i);
    this.#unpadded += text.length;
  }

  /**
   * Adds a fuse_entry_out. The time-outs of entry and attributes are zero (docs/design.md, section
   * 4).
   */
  entry(nodeid: number, attr: Attr): void {
    this.u64(nodeid);
    this.u64(0); // generation: node ids are never reused
    this.u64(0); // entry_valid
    this.u64(0); // attr_valid
    this.u64(0); // entry_valid_nsec, attr_valid_nsec
    this.#attr(attr);
  }

  /**
   * Adds a fuse_attr_out.
   *
   * @param validSeconds how long the kernel may cache the attributes
   */
  attr(attr: Attr, validSeconds: number): void {
    this.u64(validSeconds);
    this.u64(0); // attr_valid_nsec, dummy
    this.#attr(attr);
  }

  #attr(attr: Attr): void {
    const words = this.#words;
    const at = this.#at;
    const { atime, mtime, ctime, ino, size } = attr;
    words[at] = ino;
    words[at + 1] = ino / TWO_32;
    words[at + 2] = size;
    words[at + 3] = 0; // no file reaches 4 GiB
    words[at + 4] = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    words[at + 5] = 0;
    words[at + 6] = atime.sec;
    words[at + 7] = Math.floor(atime.sec / TWO_32);
    words[at + 8] = mtime.sec;
    words[at + 9] = Math.floor(mtime.sec / TWO_32);
    words[at + 10] = ctime.sec;
    words[at + 11] = Math.floor(ctime.sec / TWO_32); // negative before 1970
    words[at + 12] = atime.nsec;
    words[at + 13] = mtime.nsec;
    words[at + 14] = ctime.nsec;
    words[at + 15] = attr.mode;
    words[at + 16] = attr.nlink;
    words[at + 17] = attr.uid;
    words[at + 18] = attr.gid;
    words[at + 19] = 0; // rdev
    words[at + 20] = PREFERRED_IO_BYTES;
    words[at + 21] = 0; // flags
    this.#at = at + (Size.fuse_attr >>> 2);
  }

  /**
   * Adds a fuse_open_out.
   *
   * @param fh the handle that the kernel sends with later requests
   * @param flags FOPEN_* bits
   */
  opened(fh: number, flags: number): void {
    this.u64(fh);
    this.u32(flags);
    this.u32(0); // backing_id
  }

  /**
   * Adds a fuse_dirent if `room` is large enough.
   *
   * @param type the mode of the file, with the file type in it
   * @param name one character for each byte
   * @param next the offset that the kernel sends to continue behind this entry
   * @returns whether there was room
   */
  add(ino: number, type: number, name: string, next: number): boolean {
    const padding = -name.length & 7;
    const length = Size.fuse_dirent + name.length + padding;
    if (length > this.room) return false;
    this.room -= length;
    this.u64(ino);
    this.u64(next);
    this.u32(name.length);
    this.u32(type >>> S_IFMT_SHIFT);
    this.text(name);
    for (let i = 0; i < padding; i++) this.bytes[this.#at * 4 + name.length + i] = 0;
    this.#at += (name.length + padding) >>> 2;
    this.#unpadded = 0;
    return true;
  }

  /**
   * Builds a FUSE_NOTIFY_POLL. The kernel wakes the pollers of the file, and they poll again.
   *
   * @param keyLow the lower 32 bits of fuse_poll_in.kh
   * @param keyHigh the upper 32 bits
   * @returns the length in bytes
   */
  pollWakeup(keyLow: number, keyHigh: number): number {
    const to = this.#words;
    const length = Size.fuse_out_header + Size.fuse_notify_poll_wakeup_out;
    to[0] = length;
    to[1] = FUSE_NOTIFY_POLL;
    to[2] = to[3] = 0; // unique 0: not a reply
    to[4] = keyLow;
    to[5] = keyHigh;
    return length;
  }

  /** Builds the notification after which the kernel sends unanswered requests again. */
  resend(): number {
    const to = this.#words;
    to[0] = Size.fuse_out_header;
    to[1] = FUSE_NOTIFY_RESEND;
    to[2] = to[3] = 0;
    return Size.fuse_out_header;
  }
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}
