/** Standard output, without process.stdout: that makes a pipe non-blocking, for whoever shares it too. */
import { writeSync } from 'node:fs';
import { isSystemError } from '../../shared/errors.js';

export const STDOUT = 1;
/** How long to wait where somebody else has made our output non-blocking and it is full. */
const FULL_WAIT_MS = 10;

/** Prints all of it, however slowly it is read; false when nobody reads it any more. */
export function print(output: Buffer | string): boolean {
  const bytes = Buffer.from(output);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(STDOUT, bytes, done);
    } catch (error) {
      if (isSystemError(error, 'EPIPE')) return false;
      if (!isSystemError(error, 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_WAIT_MS);
    }
  }
  return true;
}

// Tabs are harmless; what is 0x80 and more is part of a UTF-8 character.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;

/** The text with control characters written as \x1b is: a device's or a directory's name could move the cursor. */
export function printable(text: string): string {
  return text.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Bytes as characters as a text; what is not UTF-8 becomes U+FFFD. */
export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
