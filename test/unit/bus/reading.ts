/** Reading records in tests: a sink of bounded room, and a check of one read. */
import * as assert from 'uvu/assert';
import type { Sink } from '../../../fs/bus/sink.js';

/** A sink for a read(2) of `room` bytes. It copies at once, as a reader does. */
export class Room implements Sink {
  #text = '';

  constructor(public room: number) {}

  put(bytes: Uint8Array, start: number, length: number): void {
    assert.ok(
      length >= 0 && length <= this.room,
      `${length} bytes were put where ${this.room} fit`,
    );
    assert.ok(start >= 0 && start + length <= bytes.length, 'bytes were put that are not there');
    this.room -= length;
    this.#text += latin1(bytes.subarray(start, start + length));
  }

  /** The bytes so far, as characters. */
  get text(): string {
    return this.#text;
  }
}

/** Returns bytes as characters, and characters as bytes. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Returns the overflow record as a stream shows it. */
export function overflow(lost: number): string {
  return `overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\nLOST=${lost}\n\n`;
}

/** Returns the number in an overflow record, or null for another record. */
export function lostIn(record: string): number | null {
  const [, digits] = /^overflow@\/eventfs\n[^]*\nLOST=(\d+)\n\n$/.exec(record) ?? [];
  return digits === undefined ? null : Number(digits);
}

/**
 * Splits a stream's output into records with their empty lines. The text behind the last empty line
 * is not ended.
 */
export function records(output: string): string[] {
  return output.match(/[^]*?\n\n|[^]+$/g) ?? [];
}

/** Returns the next record that a reader must get; undefined if there is none. */
type Next = () => { record: string; take: () => void } | undefined;

/** The record of which a reader got only the beginning. */
export class Reader {
  rest = '';

  /**
   * Checks one read: first the rest of a record, then whole records as long as they fit. Only the
   * first may be cut.
   *
   * @param next returns the records one by one; a record is taken if any of it was put
   */
  check(room: number, output: string, next: Next): void {
    let expected = this.rest.slice(0, room);
    this.rest = this.rest.slice(room);
    for (
      let coming = next();
      this.rest === '' && expected.length < room && coming !== undefined;
      coming = next()
    ) {
      const { record, take } = coming;
      const left = room - expected.length;
      if (record.length > left && expected !== '') break;
      take();
      expected += record.slice(0, left);
      this.rest = record.slice(left);
    }
    assert.is(output, expected);
  }
}
