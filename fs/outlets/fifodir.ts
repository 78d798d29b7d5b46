/**
 * A fifodir: a directory in which whoever wants to be woken makes a FIFO (s6's event libraries do, s6-ftrig-wait for one).
 * Each event is one byte into every FIFO there:
 *
 *   a add   r remove   c change   m move   b bind   u unbind   o online   f offline   ? events were lost: look for yourself
 *
 * Other actions write nothing. What has come in one go is one write(2). A FIFO that is full misses what is written meanwhile;
 * it is counted here, and its reader can only know from looking (s6-ftrig-notify does the same).
 */
import { closeSync, constants, openSync, statfsSync } from 'node:fs';
import { notifyFifos } from '#native';
import type { Event } from '../events/event.js';
import { Refusal, errnoText, isSystemError } from '../errno.js';
import { FUSE_SUPER_MAGIC } from '../fuse/mountinfo.js';
import type { Complain } from '../fuse/session.js';
import type { StatusLines } from '../tree/text-file.js';
import type { WayOut } from './way-out.js';

/** PIPE_BUF: what is no longer than that is written whole or not at all. */
const MOST_BYTES = 4096;
/** How many FIFOs are written to: whoever may make FIFOs there could hold up everybody else. */
const MOST_FIFOS = 4096;

const BYTES: ReadonlyMap<string, number> = new Map(
  Object.entries({ add: 'a', remove: 'r', change: 'c', move: 'm', bind: 'b', unbind: 'u', online: 'o', offline: 'f', overflow: '?' }).map(
    ([action, letter]) => [action, letter.charCodeAt(0)],
  ),
);

export class FifodirOutlet implements WayOut {
  readonly #directoryFd: number;
  readonly #bytes = new Uint8Array(MOST_BYTES);
  #length = 0;
  /** FIFOs that got bytes, were full, were stale, were not written to. */
  readonly #counts = new Uint32Array(4);

  constructor(
    private readonly path: string,
    private readonly complain: Complain,
  ) {
    try {
      this.#directoryFd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      throw Refusal.from(error, path, { ENOENT: `make it with s6-mkfifodir ${path}` });
    }
    // Looking into a FUSE mount asks its daemon, which may be us, or wait for us.
    if (statfsSync(path).type === FUSE_SUPER_MAGIC) {
      closeSync(this.#directoryFd);
      throw new Refusal(`${path}: it is on a FUSE mount, and the daemon must not wait for one (take a directory in /run)`);
    }
  }

  take(event: Event): void {
    const byte = BYTES.get(event.action);
    if (byte === undefined) return;
    if (this.#length === MOST_BYTES) this.settle();
    this.#bytes[this.#length++] = byte;
  }

  settle(): boolean {
    if (this.#length === 0) return false;
    try {
      notifyFifos(this.#directoryFd, this.#bytes, this.#length, MOST_FIFOS, this.#counts);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.complain(`${this.path}: ${errnoText(error.errno)}; ${this.#length} bytes were not written`);
    }
    this.#length = 0;
    return false;
  }

  statusLines(): StatusLines {
    const [notified, full, stale, skipped] = this.#counts;
    return [
      ['FIFODIR_WRITES', notified],
      ['FIFODIR_FULL', full],
      ['FIFODIR_STALE', stale],
      ['FIFODIR_SKIPPED', skipped],
    ];
  }

  close(): void {
    closeSync(this.#directoryFd);
  }
}
