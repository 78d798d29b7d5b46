/**
 * Collects the bytes of the reply to a READ. One slice of the log goes to the kernel without a
 * copy. All other bytes are copied behind the reply's header.
 */
import { ControlWord } from '#native';
import type { Sink } from '../../bus/sink.js';
import { Size } from '../../fuse/abi.js';

/** The bytes of one reply: first the copied bytes, then the slice. */
export class ReplySink implements Sink {
  /** How many more bytes the reader takes. */
  room = 0;
  /** How many bytes were copied behind the header. */
  copied = 0;
  #sliceStart = 0;
  #sliceLength = 0;

  /**
   * @param reply the memory of the reply
   * @param log the memory of the log
   * @param control the channel's words (FuseChannelOptions.control); they carry the slice
   */
  constructor(
    private readonly reply: Uint8Array,
    private readonly log: Uint8Array,
    private readonly control: Uint32Array,
  ) {}

  /** How many bytes the reply has so far, its header excluded. */
  get length(): number {
    return this.copied + this.#sliceLength;
  }

  /** How many of them are the slice. */
  get sliced(): number {
    return this.#sliceLength;
  }

  /**
   * Begins a reply.
   * @param room the most bytes that the reader takes
   */
  begin(room: number): this {
    this.room = room;
    this.copied = 0;
    this.#sliceLength = 0;
    return this;
  }

  /** Adds `length` bytes from `start`, no more than `room`. */
  put(bytes: Uint8Array, start: number, length: number): void {
    this.room -= length;
    if (bytes === this.log && this.#extendSlice(start, length)) return;
    if (this.#sliceLength > 0) {
      // A reply can have one slice, at its end. More bytes follow, so the slice has to be copied.
      this.#copy(this.log, this.#sliceStart, this.#sliceLength);
      this.#sliceLength = 0;
      if (bytes === this.log && this.#extendSlice(start, length)) return;
    }
    this.#copy(bytes, start, length);
  }

  /** Hands the slice to the channel. */
  end(): void {
    this.control[ControlWord.sliceStart] = this.#sliceStart;
    this.control[ControlWord.sliceLength] = this.#sliceLength;
  }

  /** Returns false if the bytes do not follow the slice in the log. */
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
