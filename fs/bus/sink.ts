/** Where the bytes of one read(2) go. A driver may copy them, or only remember where they are until it replies. */
export interface Sink {
  /** How many more bytes the reader takes. */
  readonly room: number;
  /** Adds `length` bytes from `start`, no more than `room`. */
  put(bytes: Uint8Array, start: number, length: number): void;
}
