/** `eventfs watch --record`: writes events to a file that `emit --replay` reads. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { RECORDING_HEADER, recordText } from '../../../client/events/recording.js';
import { UserError, isSystemError } from '../../../shared/errors.js';
import { FILE_HINTS } from '../../terminal/explain.js';
import type { WatchedEvent } from './watched-event.js';

/** A recording that grows. */
export class Recorder {
  readonly #fd: number;

  /**
   * Begins a recording.
   *
   * @param path the file, which is emptied if it exists
   * @throws UserError with the errno of open(2) or write(2)
   */
  constructor(private readonly path: string) {
    this.#fd = this.#try(() => openSync(path, 'w'));
    this.#append(RECORDING_HEADER);
  }

  /**
   * Writes the events of one read in one piece. If a signal kills this process during the write,
   * all earlier events are whole in the file.
   *
   * @throws UserError with the errno of write(2)
   */
  write(events: readonly WatchedEvent[]): void {
    this.#append(events.map(({ event, at, source }) => recordText(event, at, source)).join(''));
  }

  /** Closes the file. @throws UserError with the errno of close(2) */
  close(): void {
    this.#try(() => closeSync(this.#fd));
  }

  #append(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    for (let done = 0; done < bytes.length;)
      done += this.#try(() => writeSync(this.#fd, bytes, done));
  }

  #try<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (isSystemError(error)) throw UserError.from(error, this.path, FILE_HINTS);
      throw error;
    }
  }
}
