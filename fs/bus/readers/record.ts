/** Puts records into a reader's buffer, which may be smaller than a record. */
import type { Journal } from '../../state/journal.js';
import type { Sink } from '../sink.js';
import { overflowText } from '../../uevent/text.js';
import { LF } from '../../shared/ascii.js';

/** The rest of a record whose beginning one reader has read. */
export class PartialRecord {
  #rest: Uint8Array | null = null;

  /** The number of bytes of the record that are not read yet; 0 without a record. */
  get length(): number {
    return this.#rest?.length ?? 0;
  }

  /** Whether there is a rest. */
  get waiting(): boolean {
    return this.#rest !== null;
  }

  /**
   * Puts the rest, or as much as there is room for.
   * @param sink the reader's buffer
   * @returns whether all of it was put
   */
  finish(sink: Sink): boolean {
    const rest = this.#rest;
    if (rest === null) return true;
    this.#rest = null;
    return this.put(sink, rest, 0, rest.length);
  }

  /**
   * Puts a record, or as much as there is room for, and keeps the rest.
   * @param sink the reader's buffer
   * @param bytes the memory that holds the record
   * @param start its offset in `bytes`
   * @param length its length in bytes
   * @returns whether all of it was put
   */
  put(sink: Sink, bytes: Uint8Array, start: number, length: number): boolean {
    const fits = Math.min(length, sink.room);
    sink.put(bytes, start, fits);
    if (fits === length) return true;
    // A copy: the ring may overwrite the record before the next read. `slice` of a Buffer is none.
    this.#rest = new Uint8Array(bytes.subarray(start + fits, start + length));
    return false;
  }

  /** Writes the rest into a record of the state. */
  record(journal: Journal): Journal {
    const rest = this.#rest;
    return rest === null ? journal.number(0) : journal.bytes(rest, 0, rest.length);
  }

  /** Restores the rest that the last daemon has recorded; none if it is empty. */
  restore(rest: Uint8Array): void {
    this.#rest = rest.length === 0 ? null : rest;
  }

  /** Copies the rest of `other`, which has read the same bytes. */
  follow(other: PartialRecord): void {
    this.#rest = other.#rest;
  }
}

/** Returns the overflow record for `lost` events, with the empty line that ends it. */
export function overflowRecord(lost: number): Uint8Array {
  const text = overflowText(lost);
  const record = new Uint8Array(text.length + 1);
  record.set(text);
  record[text.length] = LF;
  return record;
}
