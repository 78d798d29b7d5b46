/**
 * Reads one request as the kernel wrote it: the header's fields, and the fields behind it in order.
 * No read goes past the request's end.
 */
import { InHeader, Size } from './abi.js';
import { NUL } from '../shared/ascii.js';

/** The request ends before a field that its opcode requires. */
export class ShortRequest extends Error {}

/**
 * The size of the cache of names, less one. The size is a power of two, so that a bit mask picks
 * the slot.
 */
const NAME_MASK = 1023;
const TWO_32 = 2 ** 32;

/** The request in memory. One object serves all requests, one after the other. */
export class Request {
  /** The memory that the channel reads requests into. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #text: Buffer;
  /** The last names by hash, so that a repeated name does not become a new string each time. */
  readonly #names = new Array<string | undefined>(NAME_MASK + 1).fill(undefined);
  #at = 0;
  #end = 0;

  /** @param bytes the memory for requests, 8-byte aligned */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /**
   * Begins a request that the channel has read, and moves behind its header.
   *
   * @param length the request's length in bytes
   * @throws ShortRequest if the request is shorter than a header
   */
  begin(length: number): void {
    if (length < Size.fuse_in_header)
      throw new ShortRequest(`the request has ${length} bytes, fewer than its header`);
    this.#at = Size.fuse_in_header;
    this.#end = length;
  }

  /** The opcode (fuse_in_header). */
  get opcode(): number {
    return this.#words[InHeader.opcode >>> 2];
  }

  /** The id of the request's node. The daemon's node ids are below 2^53. */
  get nodeid(): number {
    return u64At(this.#words, InHeader.nodeid);
  }

  /** The caller's user id. */
  get uid(): number {
    return this.#words[InHeader.uid >>> 2];
  }

  /** The caller's group id. */
  get gid(): number {
    return this.#words[InHeader.gid >>> 2];
  }

  /** The id of the calling thread in the daemon's PID namespace; 0 if it has none there. */
  get pid(): number {
    return this.#words[InHeader.pid >>> 2];
  }

  /** The number of bytes from the position to the request's end. */
  get rest(): number {
    return this.#end - this.#at;
  }

  /** The offset in `bytes` of the next field. */
  get at(): number {
    return this.#at;
  }

  /**
   * Reads a u32.
   *
   * @throws ShortRequest if the request ends before it
   */
  u32(): number {
    const at = this.#at;
    this.skip(4);
    return this.#words[at >>> 2];
  }

  /**
   * Reads a u64 that the daemon has assigned, or that is always below 2^53.
   *
   * @throws ShortRequest if the request ends before it
   */
  u64(): number {
    const at = this.#at;
    this.skip(8);
    return u64At(this.#words, at);
  }

  /**
   * Reads a signed 64-bit number: seconds since the epoch, negative before 1970.
   *
   * @throws ShortRequest if the request ends before it
   */
  i64(): number {
    const at = this.#at >>> 2;
    this.skip(8);
    return this.#words[at] + (this.#words[at + 1] | 0) * TWO_32;
  }

  /**
   * Steps over `bytes` bytes.
   *
   * @throws ShortRequest if the request ends before that
   */
  skip(bytes: number): void {
    if (this.#at + bytes > this.#end)
      throw new ShortRequest(`the request ends ${this.#at + bytes - this.#end} bytes early`);
    this.#at += bytes;
  }

  /**
   * Reads `length` bytes as text, one character for each byte.
   *
   * @throws ShortRequest if the request ends before that
   */
  text(length: number): string {
    const start = this.#at;
    this.skip(length);
    return this.#text.toString('latin1', start, start + length);
  }

  /**
   * Reads a name that ends with a NUL.
   *
   * @returns one character for each byte, without the NUL
   * @throws ShortRequest if the NUL is missing
   */
  name(): string {
    const { bytes } = this;
    const start = this.#at;
    let end = start;
    let hash = 0;
    for (; end < this.#end && bytes[end] !== NUL; end++)
      hash = (Math.imul(hash, 31) + bytes[end]) | 0;
    if (end === this.#end) throw new ShortRequest('a name has no NUL at its end');
    this.#at = end + 1;
    return this.#intern(start, end, hash & NAME_MASK);
  }

  /**
   * Reads a symlink's target that ends with a NUL. Unlike a name, the cache does not keep it.
   *
   * @returns one character for each byte, without the NUL
   * @throws ShortRequest if the NUL is missing
   */
  target(): string {
    const { bytes } = this;
    const start = this.#at;
    let end = start;
    while (end < this.#end && bytes[end] !== NUL) end++;
    if (end === this.#end) throw new ShortRequest('a target has no NUL at its end');
    this.#at = end + 1;
    return this.#text.toString('latin1', start, end);
  }

  /** Returns the string for these bytes: the cached one if the slot has the same name. */
  #intern(start: number, end: number, slot: number): string {
    const known = this.#names[slot];
    if (known !== undefined && this.#isAt(known, start, end)) return known;
    const name = this.#text.toString('latin1', start, end);
    this.#names[slot] = name;
    return name;
  }

  #isAt(name: string, start: number, end: number): boolean {
    if (name.length !== end - start) return false;
    for (let i = 0; i < name.length; i++)
      if (name.charCodeAt(i) !== this.bytes[start + i]) return false;
    return true;
  }
}

/**
 * Returns a 64-bit number of a request that is below 2^53.
 *
 * @param words the request
 * @param offset the number's offset in bytes
 */
export function u64At(words: Uint32Array, offset: number): number {
  return words[offset >>> 2] + words[(offset >>> 2) + 1] * TWO_32;
}
