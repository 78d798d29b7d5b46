/**
 * Writes to standard output without process.stdout: that makes a pipe non-blocking, also for other
 * processes that share the pipe.
 */
import { isUtf8 } from 'node:buffer';
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { isSystemError } from '../../shared/errors.js';

/** The descriptor of standard output. */
export const STDOUT = 1;
const STDERR = 2;
/** How long to wait when another process has made a descriptor non-blocking. */
const WAIT_MS = 10;
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
      pause();
    }
  }
  return true;
}

/** Waits a moment for a descriptor that does not block and is full, or empty. */
export function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
}

/**
 * Tells a person at a terminal what the command waits for, on standard error. Prints nothing if
 * that is not a terminal.
 */
export function announce(message: string): void {
  if (isatty(STDERR)) printError(`${message} until Ctrl-C`);
}

// Tabs are harmless. The second range is C1: U+009B does the same as ESC [.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
/** Characters that change the direction of the text around them, or begin a line. */
const DIRECTION = /[\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const PLAIN = /^[\t\x20-\x7e]*$/;

/**
 * Escapes control characters as in `\x1b`, and those that turn the direction as in `\u202e`: the
 * name of a device or directory could move the terminal's cursor, or hide a part of the line.
 */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(CONTROL, hex).replace(DIRECTION, codeOf);
}

/** A message has at most so many characters. */
const MOST_CHARACTERS = 1000;
/** How many of a longer message are at its end, which is the hint. */
const END_CHARACTERS = 300;
const CUT = ' [...] ';

/**
 * Returns a message as one line that fits a terminal: an argument in it may have thousands of
 * characters, line ends and control characters.
 */
export function messageLine(text: string): string {
  const line = printable(text);
  if (line.length <= MOST_CHARACTERS) return line;
  const characters = [...line];
  const begin = characters.slice(0, MOST_CHARACTERS - END_CHARACTERS - CUT.length);
  return [...begin, CUT, ...characters.slice(-END_CHARACTERS)].join('');
}

/**
 * Prints a message in one line on standard error. That standard error is closed or a full disk
 * changes nothing: the exit code tells the end.
 */
export function printError(message: string): void {
  console.error(`eventfs: ${messageLine(message)}`);
}

/**
 * Does what `printable` does for a text of one character a byte. Bytes from 0xa0 on that are not
 * UTF-8 stay as they are.
 */
export function printableBytes(bytes: string): string {
  if (PLAIN.test(bytes)) return bytes;
  return isUtf8(Buffer.from(bytes, 'latin1'))
    ? Buffer.from(printable(textOf(bytes))).toString('latin1')
    : bytes.replace(CONTROL, hex);
}

function hex(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/** Returns the code point of a character, as in `\u202e`. */
export function codeOf(char: string): string {
  return `\\u${char.codePointAt(0)!.toString(16).padStart(4, '0')}`;
}

/**
 * Decodes UTF-8; bytes that are not UTF-8 become U+FFFD.
 *
 * @param bytes one character for each byte
 */
export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
