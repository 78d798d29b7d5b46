/** Standard output for events, whose reader may be slow, or end before the next event. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { Readiness, ReadyWord } from '#native';
import { isSystemError } from '../../shared/errors.js';
import { STDOUT, print } from './output.js';

/** Prints events to standard output. */
export class EventOutput {
  /**
   * Resolves when the output has no reader any more: a pipe as after `| head -1`, or a socket,
   * which is what sshd and programs in Node.js give to a command.
   */
  readonly unread: Promise<void>;
  /** A second descriptor of the output; null if the output is not a pipe. */
  readonly #pipe: number | null;
  #watch: Readiness | null = null;

  constructor() {
    this.#pipe = openPipe();
    this.unread = new Promise<void>((end) => {
      this.#watch = watchForEnd(end);
    });
  }

  /**
   * Prints everything, and waits for a slow reader.
   *
   * @param text one character for each byte
   * @param deadline as of performance.now(): a pipe that is full until then gets no more
   * @returns false if the output has no reader, or after the deadline
   * @throws SystemError with the errno of write(2)
   */
  write(text: string, deadline: number): boolean {
    const bytes = Buffer.from(text, 'latin1');
    // A write to a descriptor that blocks would not end at the deadline.
    const fd = deadline < Infinity ? (this.#pipe ?? STDOUT) : STDOUT;
    return print(bytes, { fd, deadline });
  }

  /** Ends the watch for the reader's end. */
  close(): void {
    this.#watch?.close();
    if (this.#pipe !== null) closeSync(this.#pipe);
  }
}

/** Watches standard output. @returns null if it is a file, which has no reader */
function watchForEnd(onEnd: () => void): Readiness | null {
  const watch = new Readiness({ ready: new Uint32Array(ReadyWord.count), onReady: onEnd });
  try {
    watch.add(STDOUT, 0, 0); // EPOLLHUP and EPOLLERR
    return watch;
  } catch (error) {
    watch.close();
    if (!isSystemError(error, 'EPERM')) throw error;
    return null;
  }
}

/**
 * Opens standard output anew if it is a pipe, for writes that do not block: other processes may
 * share standard output.
 *
 * @returns null if the output is not a pipe
 */
function openPipe(): number | null {
  if (!fstatSync(STDOUT).isFIFO()) return null;
  try {
    return openSync(`/proc/self/fd/${STDOUT}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return null; // EACCES, or no reader is left: then the write of the next event detects it
  }
}
