/**
 * Writes to standard output without process.stdout: that makes a pipe non-blocking, also for other
 * processes that share the pipe.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { isSystemError } from '../../shared/errors.js';

/** The descriptor of standard output. */
export const STDOUT = 1;
const STDERR = 2;
/** How long to wait when the output is full and another process has made it non-blocking. */
const FULL_WAIT_MS = 10;
const TO_STDOUT = { fd: STDOUT, deadline: Infinity };

/**
 * Prints everything, and waits for a slow reader.
 *
 * @param to the descriptor, and the end of the wait as of performance.now(): a descriptor that
 *   blocks has no such end (default: standard output, without an end)
 * @returns false if no process reads the output any more, or after the deadline
 * @throws SystemError with an errno of write(2) other than EPIPE and EAGAIN
 */
export function print(
  output: Buffer | string,
  { fd, deadline }: { readonly fd: number; readonly deadline: number } = TO_STDOUT,
): boolean {
  const bytes = Buffer.from(output);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if (isSystemError(error, 'EPIPE')) return false;
      if (!isSystemError(error, 'EAGAIN')) throw error;
      if (performance.now() >= deadline) return false;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_WAIT_MS);
    }
  }
  return true;
}

/**
 * Tells a person at a terminal what the command waits for, on standard error. Prints nothing if
 * that is not a terminal.
 */
export function announce(message: string): void {
  if (isatty(STDERR)) console.error(`eventfs: ${printable(message)} until Ctrl-C`);
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
