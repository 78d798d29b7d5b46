/**
 * Writes to standard output without process.stdout: that makes a pipe non-blocking, also for other
 * processes that share the pipe.
 */
import { writeSync } from 'node:fs';
import { isSystemError } from '../../shared/errors.js';

/** The descriptor of standard output. */
export const STDOUT = 1;
/** How long to wait when the output is full and another process has made it non-blocking. */
const FULL_WAIT_MS = 10;

/**
 * Prints everything, and waits for a slow reader.
 *
 * @returns false if no process reads the output any more
 * @throws SystemError with an errno of write(2) other than EPIPE and EAGAIN
 */
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

// Tabs are harmless; bytes from 0x80 on are part of a UTF-8 character.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;

/**
 * Escapes control characters as in `\x1b`: the name of a device or directory could move the
 * terminal's cursor.
 */
export function printable(text: string): string {
  return text.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/**
 * Decodes UTF-8; bytes that are not UTF-8 become U+FFFD.
 *
 * @param bytes one character for each byte
 */
export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
