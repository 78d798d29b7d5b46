/**
 * Writes to standard error. Its reader may be a client of the mount, as in `eventfs mount --debug
 * 2>&1 | ...`: a daemon that waits for such a reader waits for itself.
 *
 * A message is written at once: it is short and rare, and must be out if the daemon crashes next.
 * Another thread writes the lines of the trace. If too many wait, further lines are dropped and
 * counted.
 */
import { write, writeSync } from 'node:fs';

const STDERR = 2;
/** The most text of a trace that may wait, in characters. */
const MOST_WAITING = 1024 * 1024;
/** The delay before the next attempt if standard error is non-blocking and full. */
const RETRY_MS = 10;
/** The time that the waiting text has to be written after the daemon's end. */
const CLOSE_MS = 2500;

/** A queue of text in front of standard error. */
export class StandardError {
  #waiting = '';
  #isWriting = false;
  #dropped = 0;

  /** @param lost returns the line that reports how many lines of the trace were dropped */
  constructor(private readonly lost: (count: number) => string) {}

  /** Writes a message, after the text that waits. */
  message(text: string): void {
    if (this.#isWriting) this.#waiting += text;
    else this.#queue(writeSome(text));
  }

  /** Queues a line of the trace, or drops it if too much text waits. */
  trace(line: string): void {
    if (this.#waiting.length + line.length > MOST_WAITING) this.#dropped++;
    else this.#queue(line);
  }

  /**
   * Prepares for the end of the process. If the reader does not read, the process exits after
   * CLOSE_MS at the latest.
   */
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
      // After another error standard error has no reader, so the rest is discarded.
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

/**
 * Writes as much as standard error accepts at once.
 *
 * @returns the rest
 */
function writeSome(text: string): string {
  const bytes = Buffer.from(text);
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(STDERR, bytes, done);
  } catch (error) {
    // standard error has no reader any more
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return '';
  }
  return done === bytes.length ? '' : bytes.toString('utf8', done);
}
