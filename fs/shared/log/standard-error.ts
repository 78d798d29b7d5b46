/**
 * Writes to standard error. Its reader may be a client of the mount, as in `eventfs mount --debug
 * 2>&1 | ...`, and may have stopped: a daemon that waits for such a reader waits for ever.
 *
 * A message is written at once: it is short and rare, and must be out if the daemon crashes next.
 * If there is no room for it, and for each line of the trace, another thread writes. If too much
 * text waits for that thread, further lines are dropped and counted.
 */
import { constants, fstatSync, openSync, write, writeSync } from 'node:fs';
import { isWritable } from '#native';

const STDERR = 2;
/** The most bytes of a write that does not wait if the pipe has room (PIPE_BUF, pipe(7)). */
const MOST_AT_ONCE = 4096;
/** The most text that may wait when a line of the trace is added, in characters. */
const MOST_BEFORE_TRACE = 1024 * 1024;
/** The most text that may wait when a message is added, in characters. */
const MOST_BEFORE_MESSAGE = 1.25 * MOST_BEFORE_TRACE;
/** The delay before the next attempt if standard error is non-blocking and full. */
const RETRY_MS = 10;
/** The time that the waiting text has to be written after the daemon's end. */
const CLOSE_MS = 2500;

/** A queue of text in front of standard error. */
export class StandardError {
  #waiting = '';
  #isWriting = false;
  #dropped = 0;
  /** The descriptor of the messages; -1 before the first one. */
  #direct = -1;

  /** @param lost returns the line that reports how many lines were dropped */
  constructor(private readonly lost: (count: number) => string) {}

  /** Writes a message, after the text that waits; or drops it if too much text waits. */
  message(text: string): void {
    if (!this.#isWriting) this.#queue(this.#writeSome(text));
    else if (this.#waiting.length + text.length <= MOST_BEFORE_MESSAGE) this.#waiting += text;
    else this.#dropped += text.split('\n').length - 1;
  }

  /** Queues a line of the trace, or drops it if too much text waits. */
  trace(line: string): void {
    if (this.#waiting.length + line.length > MOST_BEFORE_TRACE) this.#dropped++;
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

  /**
   * Writes as much as standard error accepts at once.
   *
   * @returns the rest
   */
  #writeSome(text: string): string {
    if (this.#direct < 0) this.#direct = openDirect();
    const bytes = Buffer.from(text);
    let done = 0;
    try {
      while (done < bytes.length && isWritable(this.#direct))
        done += writeSync(this.#direct, bytes, done, Math.min(MOST_AT_ONCE, bytes.length - done));
    } catch (error) {
      // standard error has no reader any more
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return '';
    }
    return done === bytes.length ? '' : bytes.toString('utf8', done);
  }
}

/**
 * Returns a descriptor of standard error. That of a pipe or a terminal has an open file description
 * of its own, which is non-blocking: a terminal may have less room than a message takes, and other
 * writers may fill a pipe after the check. A socket can't be opened again.
 */
function openDirect(): number {
  const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    const status = fstatSync(STDERR);
    if (status.isFIFO() || status.isCharacterDevice())
      return openSync(`/proc/self/fd/${STDERR}`, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  } catch {
    // Without /proc, or the right to open the file, the check before each write must do.
  }
  return STDERR;
}
