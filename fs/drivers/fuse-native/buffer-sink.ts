/** Collects the bytes of the reply to a read(2) in a buffer. */
import type { Sink } from '../../bus/sink.js';

/** Copies the bytes of a read into a buffer. */
export class BufferSink implements Sink {
  room = 0;
  length = 0;
  #to: Uint8Array = new Uint8Array(0);

  /**
   * Begins a read.
   * @param to the buffer
   * @param room the most bytes that the reader takes
   */
  begin(to: Uint8Array, room: number): this {
    this.#to = to;
    this.room = room;
    this.length = 0;
    return this;
  }

  /** Adds `length` bytes from `start`, no more than `room`. */
  put(bytes: Uint8Array, start: number, length: number): void {
    this.#to.set(bytes.subarray(start, start + length), this.length);
    this.length += length;
    this.room -= length;
  }
}
