/** The reply that is being built, in the memory that the channel writes from. */
import { FUSE_NOTIFY_POLL, InHeader, Size } from './abi.js';

const TWO_32 = 2 ** 32;
const BLOCK_BYTES = 512;
const PREFERRED_IO_BYTES = 4096;
const S_IFMT_SHIFT = 12;

declare const outcome: unique symbol;
/** What a handler returns: `DONE`, `NO_REPLY` (opcodes.ts), or what {@link Reply.refuse} returns. */
export type Outcome = number & { readonly [outcome]: true };

/** struct timespec. */
export interface Time {
  readonly sec: number;
  readonly nsec: number;
}

/** What fuse_attr carries. */
export interface Attr {
  readonly ino: number;
  readonly size: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Time;
  readonly mtime: Time;
  readonly ctime: Time;
}

/** One object serves all replies, one after the other. */
export class Reply {
  /** The memory that replies are written from. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  /** Which word is next. */
  #at = 0;
  /** How many bytes a READDIR may still put. */
  room = 0;
  /** How many bytes follow from elsewhere. */
  sliceBytes = 0;
  #unpadded = 0;
  /** Why the last request that was refused was: for the trace, which alone reads it and takes it away. */
  why: string | undefined = undefined;

  readonly #request: Uint32Array;

  /** @param bytes 8-byte aligned @param request the memory of the request that is answered */
  constructor(bytes: Uint8Array, request: Uint8Array) {
    this.bytes = bytes;
    this.#words = words(bytes);
    this.#request = words(request);
  }

  /** Begins a reply behind its header. Until it is ended the memory may serve a notification in between. */
  begin(): void {
    this.#at = Size.fuse_out_header >>> 2;
    this.#unpadded = 0;
    this.room = 0;
    this.sliceBytes = 0;
  }

  /** Ends it with its fuse_out_header; gives its length in bytes, without the slice that follows from elsewhere. */
  end(): number {
    const length = this.#at * 4 + this.#unpadded;
    this.#header(length + this.sliceBytes, 0);
    return length;
  }

  /** Nothing but an errno (positive), instead of what was built so far. */
  error(errno: number): number {
    this.begin();
    this.#header(Size.fuse_out_header, -errno);
    return Size.fuse_out_header;
  }

  /**
   * What a handler returns for a request that it refuses.
   * @param why a constant: this costs no more than to return the errno
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

  /** Counts `length` bytes that are in place behind the header already: the data of a READ. */
  filled(length: number): void {
    this.#unpadded += length;
  }

  u32(value: number): void {
    this.#words[this.#at++] = value;
  }

  u64(value: number): void {
    this.#words[this.#at++] = value;
    this.#words[this.#at++] = value / TWO_32;
  }

  /** A name, bytes as characters, to the end of the reply. */
  text(text: string): void {
    const at = this.#at * 4 + this.#unpadded;
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i);
    this.#unpadded += text.length;
  }

  /** fuse_entry_out. Entry and attributes are valid for no time at all (DESIGN section 4). */
  entry(nodeid: number, attr: Attr): void {
    this.u64(nodeid);
    this.u64(0); // generation: node ids are never reused
    this.u64(0); // entry_valid
    this.u64(0); // attr_valid
    this.u64(0); // entry_valid_nsec, attr_valid_nsec
    this.#attr(attr);
  }

  /** fuse_attr_out; the attributes are valid for `validSeconds`. */
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
    words[at + 3] = 0; // nothing here reaches 4 GiB
    words[at + 4] = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    words[at + 5] = 0;
    words[at + 6] = atime.sec;
    words[at + 7] = Math.floor(atime.sec / TWO_32);
    words[at + 8] = mtime.sec;
    words[at + 9] = Math.floor(mtime.sec / TWO_32);
    words[at + 10] = ctime.sec;
    words[at + 11] = Math.floor(ctime.sec / TWO_32); // below zero before 1970
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

  /** fuse_open_out. */
  opened(fh: number, flags: number): void {
    this.u64(fh);
    this.u32(flags);
    this.u32(0); // backing_id
  }

  /** fuse_dirent, if there is room for it. */
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

  /** FUSE_NOTIFY_POLL: whoever polls the file with this key looks again. Gives its length. */
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
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}
