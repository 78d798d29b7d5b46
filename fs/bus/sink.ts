/**
 * The buffer of one read(2). A driver may copy the bytes, or only keep references to them until it
 * replies.
 */
export interface Sink {
  /** How many more bytes the reader takes. */
  readonly room: number;
  /**
   * Adds bytes to the read.
   * @param bytes the memory that holds them
   * @param start their offset in `bytes`
   * @param length how many, no more than `room`
   */
  put(bytes: Uint8Array, start: number, length: number): void;
}
