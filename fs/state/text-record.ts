/** Records the texts of events that are not in the ring. */
import type { Journal } from './journal.js';
import { Kind } from './schema.js';

/** The text of an event. */
export interface RecordedText {
  readonly ino: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly length: number;
}

/** Writes the record of a text. */
export function recordText(journal: Journal, { ino, bytes, start, length }: RecordedText): void {
  journal.begin(Kind.text).number(ino).bytes(bytes, start, length).end();
}
