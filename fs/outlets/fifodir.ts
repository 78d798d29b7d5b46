/**
 * A fifodir: a directory in which whoever wants to be woken makes a FIFO (s6's event libraries do, s6-ftrig-wait for one).
 * Each event is one byte into every FIFO there:
 *
 *   a add   r remove   c change   m move   b bind   u unbind   o online   f offline   ? events were lost: look for yourself
 *
 * Other actions write nothing. What has come in one go is one write(2). A FIFO that is full misses what is written meanwhile;
 * it is counted here, and its reader can only know from looking (s6-ftrig-notify does the same).
 *
 * Users may put any number of FIFOs there, so another thread writes, one job after the other. Bytes that come during a job
 * wait for the next one. When more than a job's bytes wait, the last of them is a `?` for all that come on top.
 */
import { closeSync, constants, openSync, statfsSync } from 'node:fs';
import { FifoCount, notifyFifos } from '#native';
import type { Event } from '../bus/event.js';
import { UserError, errnoText, isSystemError } from '../shared/errors.js';
import { FUSE_SUPER_MAGIC } from '../shared/kernel/mountinfo.js';
import type { Logger } from '../shared/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { Outlet } from './outlet.js';

/** PIPE_BUF: what is no longer than that is written whole or not at all. */
const MOST_BYTES = 4096;
/** How many FIFOs are written to: whoever may make FIFOs there could hold up everybody else. */
const MOST_FIFOS = 4096;

const BYTES: ReadonlyMap<string, number> = new Map(
  Object.entries({
    add: 'a',
    remove: 'r',
    change: 'c',
    move: 'm',
    bind: 'b',
    unbind: 'u',
    online: 'o',
    offline: 'f',
    overflow: '?',
  }).map(([action, letter]) => [action, letter.charCodeAt(0)]),
);

const LOST = BYTES.get('overflow')!;

export class FifodirOutlet implements Outlet {
  readonly #directoryFd: number;
  readonly #bytes = new Uint8Array(MOST_BYTES);
  #length = 0;
  /** How many bytes the job that is under way writes, 0 when there is none. */
  #underWay = 0;
  /** Events that became part of a `?`. */
  #lost = 0;
  #isClosed = false;
  /** FIFOs that got bytes, were full, were stale, were not written to. */
  readonly #counts = new Uint32Array(FifoCount.count);

  constructor(
    private readonly path: string,
    private readonly logger: Logger,
  ) {
    try {
      this.#directoryFd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      throw UserError.from(error, path, { ENOENT: `make it with s6-mkfifodir ${path}` });
    }
    // Looking into a FUSE mount asks its daemon, which may be us, or wait for us.
    if (statfsSync(path).type === FUSE_SUPER_MAGIC) {
      closeSync(this.#directoryFd);
      throw new UserError(
        `${path}: it is on a FUSE mount, and the daemon must not wait for one (take a directory in /run)`,
      );
    }
  }

  take(event: Event): void {
    const byte = BYTES.get(event.action);
    if (byte === undefined) return;
    if (this.#length >= MOST_BYTES - 1 && this.#underWay === 0) this.#begin();
    if (this.#length < MOST_BYTES - 1) {
      this.#bytes[this.#length++] = byte;
      return;
    }
    this.#bytes[MOST_BYTES - 1] = LOST;
    this.#length = MOST_BYTES;
    this.#lost++;
  }

  settle(): boolean {
    if (this.#length > 0 && this.#underWay === 0) this.#begin();
    return false;
  }

  #begin(): void {
    notifyFifos(this.#directoryFd, this.#bytes, this.#length, MOST_FIFOS, this.#counts, this.#done);
    this.#underWay = this.#length;
    this.#length = 0;
  }

  readonly #done = (errno: number): void => {
    if (errno !== 0)
      this.logger.warn(
        `${this.path}: ${errnoText(errno)}; ${this.#underWay} bytes were not written`,
      );
    this.#underWay = 0;
    if (this.#length > 0) this.#begin();
    else if (this.#isClosed) closeSync(this.#directoryFd);
  };

  statusLines(): StatusLines {
    const counts = this.#counts;
    return [
      ['FIFODIR_WRITES', counts[FifoCount.notified]],
      ['FIFODIR_FULL', counts[FifoCount.full]],
      ['FIFODIR_STALE', counts[FifoCount.stale]],
      ['FIFODIR_SKIPPED', counts[FifoCount.skipped]],
      ['FIFODIR_LOST', this.#lost],
    ];
  }

  /** What waits is still written; the directory's descriptor is closed after the last job. */
  close(): void {
    this.#isClosed = true;
    if (this.#underWay === 0) closeSync(this.#directoryFd);
  }
}
