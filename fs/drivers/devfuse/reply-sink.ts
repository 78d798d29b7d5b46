/**
 * Where the bytes of a read go: one slice of the log goes to the kernel from where it lies, everything else is copied
 * behind the reply's header.
 */
import { ControlWord } from '#native';
import type { Sink } from '../../bus/sink.js';
import { Size } from '../../fuse/abi.js';

export class ReplySink implements Sink {
  room = 0;
  /** Bytes copied behind the header. */
  copied = 0;
  #sliceStart = 0;
  #sliceLength = 0;

  /**
   * @param reply the memory that replies are written from
   * @param log the log's ring
   * @param control the channel's words, which name the slice that it appends to a reply
   */
  constructor(
    private readonly reply: Uint8Array,
    private readonly log: Uint8Array,
    private readonly control: Uint32Array,
  ) {}

  /** The bytes of the read so far. */
  get length(): number {
    return this.copied + this.#sliceLength;
  }

  /** The bytes of the slice. */
  get sliced(): number {
    return this.#sliceLength;
  }

  begin(room: number): this {
    this.room = room;
    this.copied = 0;
    this.#sliceLength = 0;
    return this;
  }

  put(bytes: Uint8Array, start: number, length: number): void {
    this.room -= length;
    if (bytes === this.log && this.#extendSlice(start, length)) return;
    if (this.#sliceLength > 0) {
      // Only one slice can follow, and only at the end: what comes behind it makes it a copy.
      this.#copy(this.log, this.#sliceStart, this.#sliceLength);
      this.#sliceLength = 0;
      if (bytes === this.log && this.#extendSlice(start, length)) return;
    }
    this.#copy(bytes, start, length);
  }

  /** Tells the channel of the slice. */
  end(): void {
    this.control[ControlWord.sliceStart] = this.#sliceStart;
    this.control[ControlWord.sliceLength] = this.#sliceLength;
  }

  #extendSlice(start: number, length: number): boolean {
    if (this.#sliceLength === 0) this.#sliceStart = start;
    else if (start !== this.#sliceStart + this.#sliceLength) return false;
    this.#sliceLength += length;
    return true;
  }

  #copy(bytes: Uint8Array, start: number, length: number): void {
    this.reply.set(bytes.subarray(start, start + length), Size.fuse_out_header + this.copied);
    this.copied += length;
  }
}
