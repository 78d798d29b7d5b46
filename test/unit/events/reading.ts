/** Reading records in tests: a sink of so much room, and what one read may put into it. */
import * as assert from 'uvu/assert';
import type { Sink } from '../../../fs/bus/sink.js';

/** A read(2) of `room` bytes. It copies at once, as a reader does. */
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

  /** What was put, bytes as characters. */
  get text(): string {
    return this.#text;
  }
}

/** Bytes as characters, and back. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The record that tells of a loss, as a stream shows it. */
export function overflow(lost: number): string {
  return `overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\nLOST=${lost}\n\n`;
}

/** The number in such a record, or null when it is another. */
export function lostIn(record: string): number | null {
  const [, digits] = /^overflow@\/eventfs\n[^]*\nLOST=(\d+)\n\n$/.exec(record) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** The records of a stream's output, each with its empty line; what follows the last one is not ended. */
export function records(output: string): string[] {
  return output.match(/[^]*?\n\n|[^]+$/g) ?? [];
}

/** Where the next record that a reader must get comes from; undefined when there is none. */
export type Next = () => { record: string; take: () => void } | undefined;

/** What a reader was handed only the beginning of. */
export class Reader {
  rest = '';

  /**
   * Checks one read: first what was left of a record, then whole records as long as they fit. Only the first may be cut.
   * `next` says what comes, one by one; a record is taken when any of it was put.
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
