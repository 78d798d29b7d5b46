/** Reading events as they come, of one filter, from now on or from a SEQNUM of before. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { ReadableWatch } from '#native';
import type { Filter } from '../uevent/filter/filter.js';
import type { SeqNum } from '../uevent/text.js';
import { isSystemError } from '../shared/errors.js';
import { type EventText, records, tellsOfLoss } from './event-text.js';
import { makeOwnDirectory } from './own-directory.js';

const READ_BYTES = 1024 * 1024;
/** A file name's most bytes: a longer filter is applied here instead. */
const NAME_MAX = 255;

export class EventStream {
  readonly #fd: number;
  /** What the filesystem does not filter for us. */
  readonly #rest: Filter | null;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #watch: ReadableWatch | null = null;

  /**
   * Opens a stream: every event that matches and comes from now on is in it.
   *
   * @param mount where eventfs is mounted
   * @param label what the process directory is called that `since` needs, as in `.watch`
   */
  constructor(mount: string, filter: Filter, label: string, since?: SeqNum) {
    const { path, rest } =
      since === undefined ? sharedStream(mount, filter) : ownStream(mount, filter, label, since);
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#rest = rest;
  }

  /** Hands over events as they come, until `take` gives false or the daemon ends. */
  async forEach(take: (events: EventText[]) => boolean): Promise<void> {
    await new Promise<void>((end, failed) => {
      this.#watch = new ReadableWatch(this.#fd, () => {
        try {
          const length = readSome(this.#fd, this.#buffer);
          if (length < 0) return;
          const events = [...records(this.#buffer.subarray(0, length))].filter((event) =>
            this.#wants(event),
          );
          if (length === 0 || !take(events)) end();
        } catch (error) {
          failed(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #wants(event: EventText): boolean {
    return this.#rest === null || tellsOfLoss(event) || this.#rest.matches(event);
  }

  close(): void {
    this.#watch?.close();
    closeSync(this.#fd);
  }
}

/** The stream that the filesystem filters for us, or, where the filter is no file name, all events and a filter of our own. */
function sharedStream(mount: string, filter: Filter): { path: Buffer; rest: Filter | null } {
  const isName = !filter.all && !filter.text.includes('/') && filter.text.length <= NAME_MAX;
  const name = isName ? `match/${filter.text}` : 'stream';
  const path = Buffer.concat([Buffer.from(`${mount}/`), Buffer.from(name, 'latin1')]);
  return { path, rest: isName || filter.all ? null : filter };
}

/** A process directory's, whose queue begins with what is kept. */
function ownStream(
  mount: string,
  filter: Filter,
  label: string,
  since: SeqNum,
): { path: Buffer; rest: Filter } {
  return {
    path: Buffer.from(`${makeOwnDirectory(mount, label, filter, since)}/.stream`),
    rest: filter,
  };
}

/** How many bytes came, 0 at the end, -1 when there are none yet. */
function readSome(fd: number, buffer: Buffer): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if (isSystemError(error, 'EAGAIN') || isSystemError(error, 'EINTR')) return -1;
    // the daemon was killed, or the directory was removed
    if (
      ['ECONNABORTED', 'ECANCELED', 'ENOTCONN', 'ESTALE'].some((code) => isSystemError(error, code))
    )
      return 0;
    throw error;
  }
}
