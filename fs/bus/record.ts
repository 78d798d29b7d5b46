/** Handing records to a reader that may have less room than a record has bytes. */
import type { Sink } from './sink.js';
import { overflowText } from '../uevent/text.js';
import { LF } from '../shared/ascii.js';

/** What one reader still has to get of a record whose beginning it has read. */
export class PartialRecord {
  #rest: Uint8Array | null = null;

  /** How many bytes that is. */
  get length(): number {
    return this.#rest?.length ?? 0;
  }

  get waiting(): boolean {
    return this.#rest !== null;
  }

  /** Puts what was left over; true when all of it went. */
  finish(sink: Sink): boolean {
    const rest = this.#rest;
    if (rest === null) return true;
    this.#rest = null;
    return this.put(sink, rest, 0, rest.length);
  }

  /** Puts a record, or its beginning: then the rest waits here. True when all of it went. */
  put(sink: Sink, bytes: Uint8Array, start: number, length: number): boolean {
    const fits = Math.min(length, sink.room);
    sink.put(bytes, start, fits);
    if (fits === length) return true;
    // A copy: the ring may move on before the reader comes back.
    this.#rest = bytes.slice(start + fits, start + length);
    return false;
  }

  /** Has the same rest to hand over as `other`. */
  follow(other: PartialRecord): void {
    this.#rest = other.#rest;
  }
}

/** The record that stands where `lost` events are missing, the empty line included. */
export function overflowRecord(lost: number): Uint8Array {
  const text = overflowText(lost);
  const record = new Uint8Array(text.length + 1);
  record.set(text);
  record[text.length] = LF;
  return record;
}
