/** Reads the events that match one filter as they come: from now on, or from an earlier SEQNUM. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { ReadableWatch } from '#native';
import type { Filter } from '../../uevent/filter/filter.js';
import { isSystemError } from '../../shared/errors.js';
import { NAME_MAX } from '../../shared/kernel/name-max.js';
import { type EventText, records, tellsOfLoss } from './text.js';
import { dropOthers } from './files.js';
import { tellsOfEnd } from '../ended.js';
import { makeOwnDirectory } from '../own-directory.js';

const READ_BYTES = 1024 * 1024;

/**
 * How {@link EventStream.forEach} ends: `stopped` by the callback, `closed` by
 * {@link EventStream.close}, or `ended` because the daemon is gone or has removed the directory.
 */
type StreamEnd = 'stopped' | 'closed' | 'ended';

/** An open stream of a mount, filtered. */
export class EventStream {
  /** The queue's path below the mount, as in `match/SUBSYSTEM==block`; one character a byte. */
  readonly queue: string;
  readonly #fd: number;
  /** The filter that this process applies, as the filesystem does not; null if there is none. */
  readonly #rest: Filter | null;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #watch: ReadableWatch | null = null;
  /** Resolves the promise of {@link forEach}. */
  #end: ((how: StreamEnd) => void) | null = null;
  #isClosed = false;

  /**
   * Opens a stream. It contains every matching event from now on.
   *
   * @param mount the mount's path
   * @param filter the events to return
   * @param label the label of the process directory, as in `.watch`; used only with `since`
   * @param since an event's name: kept events after it come first
   * @throws UserError if the daemon refuses the process directory
   * @throws SystemError with the errno of open(2)
   */
  constructor(mount: string, filter: Filter, label: string, since?: string) {
    const { queue, rest } =
      since === undefined && canShare(filter)
        ? sharedStream(filter)
        : ownStream(mount, filter, label, since);
    const path = Buffer.concat([Buffer.from(`${mount}/`), Buffer.from(queue, 'latin1')]);
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.queue = queue;
    this.#rest = rest;
  }

  /**
   * Reads the events that the stream holds at once, and later ones as they come, until the callback
   * returns false, the daemon ends, or {@link close} is called.
   *
   * @param take receives the events of one read(2); returns false to stop
   * @returns how it has ended
   * @throws SystemError with the errno of read(2), or the error that the callback has thrown
   */
  async forEach(take: (events: EventText[]) => boolean): Promise<StreamEnd> {
    if (this.#isClosed) return 'closed';
    try {
      return await new Promise<StreamEnd>((end, failed) => {
        this.#end = end;
        const readOnce = (): boolean => {
          try {
            const how = this.#readOnce(take);
            if (how !== null) end(how);
            return how === null;
          } catch (error) {
            failed(error instanceof Error ? error : new Error(String(error)));
            return false;
          }
        };
        // A time-out of the caller may be over before the event loop finds the stream readable.
        if (readOnce()) this.#watch = new ReadableWatch(this.#fd, readOnce);
      });
    } finally {
      this.#watch?.close();
      this.#watch = null;
    }
  }

  /** Passes on the events of one read. @returns how the stream ends; null if it goes on */
  #readOnce(take: (events: EventText[]) => boolean): StreamEnd | null {
    const length = readSome(this.#fd, this.#buffer);
    if (length < 0) return null;
    const events = [...records(this.#buffer.subarray(0, length))];
    if (length === 0) return 'ended';
    return take(events.filter((event) => this.#wants(event))) ? null : 'stopped';
  }

  #wants(event: EventText): boolean {
    return this.#rest === null || tellsOfLoss(event) || this.#rest.matches(event);
  }

  /** Closes the stream, and ends a pending {@link forEach}. A second call has no effect. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // The descriptor must stay open until nothing watches it.
    this.#watch?.close();
    this.#watch = null;
    closeSync(this.#fd);
    this.#end?.('closed');
  }
}

/** Tells whether the text of a filter can be a file name in `match/`. */
export function canBeName(text: string): boolean {
  return text !== '' && !text.includes('/') && text.length <= NAME_MAX;
}

/** Tells whether a shared stream will do. Only the daemon knows the SOURCE of an event. */
export function canShare(filter: Filter): boolean {
  return canBeName(filter.text) || !filter.hasKey('SOURCE');
}

/**
 * Finds the shared stream that the filesystem filters. If the filter can't be a file name, it is
 * the stream of all events, and this process filters them.
 *
 * @returns its path below the mount, one character a byte, and the filter that this process
 *   applies; null if there is none
 */
export function sharedStream(filter: Filter): { queue: string; rest: Filter | null } {
  const isName = canBeName(filter.text);
  return {
    queue: isName ? `match/${filter.text}` : 'stream',
    rest: isName || filter.all ? null : filter,
  };
}

/**
 * Opens the stream of a new process directory. With `since` its queue begins with the kept events.
 *
 * An event may have come before the directory had its filter. This process filters such events, or
 * removes them if the filter has the key SOURCE.
 */
function ownStream(
  mount: string,
  filter: Filter,
  label: string,
  since?: string,
): { queue: string; rest: Filter | null } {
  const directory = makeOwnDirectory(mount, label, filter, since);
  const queue = `${basename(directory)}/.stream`;
  if (!filter.hasKey('SOURCE')) return { queue, rest: filter };
  dropOthers(directory, filter);
  return { queue, rest: null };
}

/**
 * Reads from a stream without waiting.
 *
 * @returns how many bytes were read: 0 at the end, -1 if there are none yet
 * @throws SystemError with the errno of read(2), unless it tells of the stream's end
 */
export function readSome(fd: number, buffer: Buffer): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if (isSystemError(error, 'EAGAIN') || isSystemError(error, 'EINTR')) return -1;
    if (tellsOfEnd(error)) return 0;
    throw error;
  }
}
