/**
 * Standard error, which may be a pipe whose reader is a client of the mount, as in `eventfs mount --debug 2>&1 | ...`. A daemon
 * that waits for such a reader waits for itself.
 *
 * A message is written at once: it is short and rare, and a daemon that crashes next has said it. A trace is not: its lines are
 * written by another thread, and are dropped and counted where too many wait.
 */
import { write, writeSync } from 'node:fs';

const STDERR = 2;
/** How much of a trace may wait, in characters. */
const MOST_WAITING = 1024 * 1024;
/** How soon to write again where standard error is non-blocking and full. */
const RETRY_MS = 10;
/** How long what still waits may take to be written once the daemon ends. */
const CLOSE_MS = 2500;

export class StandardError {
  #waiting = '';
  #isWriting = false;
  #dropped = 0;

  /** @param lost the line that says how many lines of a trace were dropped */
  constructor(private readonly lost: (count: number) => string) {}

  /** Writes a message, behind what waits. */
  message(text: string): void {
    if (this.#isWriting) this.#waiting += text;
    else this.#queue(writeSome(text));
  }

  /** Has a line of a trace written soon. */
  trace(line: string): void {
    if (this.#waiting.length + line.length > MOST_WAITING) this.#dropped++;
    else this.#queue(line);
  }

  /** The process ends: a reader that does not read keeps it for CLOSE_MS at the most. */
  close(): void {
    if (!this.#isWriting) return;
    const late = (): void => {
      if (this.#isWriting) process.exit();
    };
    setTimeout(late, CLOSE_MS).unref();
  }

  #queue(text: string): void {
    if (text === '') return;
    this.#waiting += text;
    if (!this.#isWriting) this.#writeWaiting();
  }

  #writeWaiting(): void {
    const bytes = Buffer.from(this.#waiting);
    this.#waiting = '';
    this.#isWriting = true;
    this.#writeFrom(bytes, 0);
  }

  #writeFrom(bytes: Buffer, start: number): void {
    write(STDERR, bytes, start, bytes.length - start, null, (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(() => this.#writeFrom(bytes, start), RETRY_MS);
        return;
      }
      // Where nobody reads any more there is nobody to tell.
      const end = error === null ? start + written : bytes.length;
      if (end < bytes.length) this.#writeFrom(bytes, end);
      else this.#written();
    });
  }

  #written(): void {
    this.#isWriting = false;
    if (this.#dropped > 0) {
      this.#waiting += this.lost(this.#dropped);
      this.#dropped = 0;
    }
    if (this.#waiting !== '') this.#writeWaiting();
  }
}

/** Writes at once what standard error takes; returns the rest. */
function writeSome(text: string): string {
  const bytes = Buffer.from(text);
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(STDERR, bytes, done);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return ''; // nobody reads it any more
  }
  return done === bytes.length ? '' : bytes.toString('utf8', done);
}
