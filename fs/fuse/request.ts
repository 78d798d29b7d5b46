/** One request as the kernel wrote it: the header's fields, and a cursor over the rest that cannot run past the end. */
import { InHeader, Size } from './abi.js';
import { NUL } from '../shared/ascii.js';

/** The request is shorter than what it says it is. */
export class ShortRequest extends Error {}

/** How many names are remembered, less one: a power of two less one. */
const NAME_MASK = 1023;
const TWO_32 = 2 ** 32;

/** One object serves all requests, one after the other. */
export class Request {
  /** The memory that requests are read into. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #text: Buffer;
  /** The names asked for last, by their hash. Strings for the same name are made once. */
  readonly #names = new Array<string | undefined>(NAME_MASK + 1).fill(undefined);
  #at = 0;
  #end = 0;

  /** @param bytes 8-byte aligned */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** A request of `length` bytes has been read. Throws {@link ShortRequest} when not even its header is there. */
  begin(length: number): void {
    if (length < Size.fuse_in_header)
      throw new ShortRequest(`a request of ${length} bytes has no header`);
    this.#at = Size.fuse_in_header;
    this.#end = length;
  }

  get opcode(): number {
    return this.#words[InHeader.opcode >>> 2];
  }

  /** The node that the request is about. Ours are below 2^53. */
  get nodeid(): number {
    return this.#words[InHeader.nodeid >>> 2] + this.#words[(InHeader.nodeid >>> 2) + 1] * TWO_32;
  }

  get uid(): number {
    return this.#words[InHeader.uid >>> 2];
  }

  get gid(): number {
    return this.#words[InHeader.gid >>> 2];
  }

  /** The calling thread in the daemon's PID namespace, or 0. */
  get pid(): number {
    return this.#words[InHeader.pid >>> 2];
  }

  /** How many bytes are left. */
  get rest(): number {
    return this.#end - this.#at;
  }

  /** Where in `bytes` the next field is. */
  get at(): number {
    return this.#at;
  }

  u32(): number {
    const at = this.#at;
    this.skip(4);
    return this.#words[at >>> 2];
  }

  /** A number that the daemon has given, or that is below 2^53 by its nature. */
  u64(): number {
    const at = this.#at >>> 2;
    this.skip(8);
    return this.#words[at] + this.#words[at + 1] * TWO_32;
  }

  /** A number that may be below zero: seconds since the epoch. */
  i64(): number {
    const at = this.#at >>> 2;
    this.skip(8);
    return this.#words[at] + (this.#words[at + 1] | 0) * TWO_32;
  }

  /** Steps over what is not needed. */
  skip(bytes: number): void {
    if (this.#at + bytes > this.#end)
      throw new ShortRequest(`it ends ${this.#at + bytes - this.#end} bytes early`);
    this.#at += bytes;
  }

  /** `length` bytes as characters. */
  text(length: number): string {
    const start = this.#at;
    this.skip(length);
    return this.#text.toString('latin1', start, start + length);
  }

  /** A name, ended by NUL; bytes as characters. */
  name(): string {
    const { bytes } = this;
    const start = this.#at;
    let end = start;
    let hash = 0;
    for (; end < this.#end && bytes[end] !== NUL; end++)
      hash = (Math.imul(hash, 31) + bytes[end]) | 0;
    if (end === this.#end) throw new ShortRequest('a name does not end');
    this.#at = end + 1;
    return this.#intern(start, end, hash & NAME_MASK);
  }

  /** A symlink's target, ended by NUL; bytes as characters. Unlike a name it is not remembered. */
  target(): string {
    const { bytes } = this;
    const start = this.#at;
    let end = start;
    while (end < this.#end && bytes[end] !== NUL) end++;
    if (end === this.#end) throw new ShortRequest('a target does not end');
    this.#at = end + 1;
    return this.#text.toString('latin1', start, end);
  }

  /** The string for these bytes: the one made last time, where a name is asked for again and again. */
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
