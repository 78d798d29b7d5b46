/**
 * Outlet to a fifodir: a directory in which a process creates a FIFO to be woken (s6's event
 * libraries do, such as s6-ftrig-wait). Each event is one byte into every FIFO there:
 *
 *   a add      r remove   c change    m move   b bind
 *   u unbind   o online   f offline   ? events were lost: the FIFO's reader must rescan
 *
 * Other actions write nothing. All bytes of a batch are one write(2). A FIFO that is full misses
 * the bytes of that write. The outlet counts it, but the FIFO's reader cannot see the gap
 * (s6-ftrig-notify behaves the same).
 *
 * Users may create any number of FIFOs there, so another thread writes, one job after the other.
 * Bytes that come during a job wait for the next one. If more bytes wait than a job can write, the
 * last byte is a `?`, which stands for all further events.
 */
import { closeSync, constants, fstatSync, openSync, statfsSync } from 'node:fs';
import { FifoCount, notifyFifos } from '#native';
import type { Event } from '../bus/event.js';
import { UserError, errnoText, isSystemError } from '../shared/errors.js';
import { type Keeper, NO_KEEPER } from '../shared/kernel/keeper.js';
import { FUSE_SUPER_MAGIC } from '../shared/kernel/mountinfo.js';
import type { Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { keptName } from './kept-name.js';
import type { OpenedPaths } from './opened-paths.js';
import type { Outlet } from './outlet.js';

/** The most bytes of a job: PIPE_BUF, because a shorter write is atomic. */
const MOST_BYTES = 4096;
/** The most FIFOs to write to, so that a user who creates many FIFOs cannot delay all others. */
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

/** Writes one byte for each event into the FIFOs of one directory. */
export class FifodirOutlet implements Outlet {
  readonly #directoryFd: number;
  readonly #bytes = new Uint8Array(MOST_BYTES);
  #length = 0;
  /** The number of bytes of the job that runs; 0 if none runs. */
  #underWay = 0;
  /** The number of events that a `?` replaced. */
  #lost = 0;
  #isClosed = false;
  /** Counts of FIFOs: written, full, stale, skipped. */
  readonly #counts = new Uint32Array(FifoCount.count);

  /**
   * @param path the directory
   * @param keeper keeps the directory's descriptor for the next daemon
   * @param opened the directory, if this daemon has opened it while another one served
   * @throws UserError if it cannot be opened, is on a FUSE mount, or was removed
   */
  constructor(
    private readonly path: string,
    private readonly logger: Logger,
    keeper: Keeper = NO_KEEPER,
    opened?: OpenedPaths,
  ) {
    const name = keptName('fifodir', path);
    const kept = keeper.take(name);
    if (kept !== undefined && keeper.followsDeath) {
      this.#directoryFd = unlessRemoved(kept, path);
      return;
    }
    if (kept !== undefined) closeSync(kept); // after a reload the path may name another directory
    this.#directoryFd = opened === undefined ? openFifodir(path) : opened.takeFifodir(path);
    if (keeper.keeps) keeper.keep(name, this.#directoryFd);
  }

  /** Adds the byte of the event to those that the thread writes to the FIFOs next. */
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

  /**
   * Starts a job if none runs.
   *
   * @returns false: no work is left for a later turn
   */
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

  /** Returns the outlet's lines of `log/.status`. */
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

  /** Closes the directory's descriptor after the last job. Bytes that wait are still written. */
  close(): void {
    this.#isClosed = true;
    if (this.#underWay === 0) closeSync(this.#directoryFd);
  }
}

/**
 * Opens the directory of an outlet.
 *
 * @throws UserError if it cannot be opened or is on a FUSE mount
 */
export function openFifodir(path: string): number {
  let fd = -1;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    // By the descriptor: a user may replace a part of the path at any moment
    if (statfsSync(`/proc/self/fd/${fd}`).type !== FUSE_SUPER_MAGIC) return fd;
  } catch (error) {
    if (fd >= 0) closeSync(fd);
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, path, { ENOENT: `make it with s6-mkfifodir ${path}` });
  }
  closeSync(fd);
  // A lookup in a FUSE mount sends a request to its daemon, which may be this daemon or wait for it
  throw new UserError(
    `${path}: the directory is on a FUSE mount, for which the daemon must not wait (choose one in /run)`,
  );
}

/**
 * Returns the directory of the last daemon. No walk along the path shows whether the path still
 * names it: clients wait, and the path may lead into the mount.
 *
 * @throws UserError if it was removed: it gets no FIFO any more
 */
function unlessRemoved(kept: number, path: string): number {
  if (fstatSync(kept).nlink > 0) return kept;
  closeSync(kept);
  throw new UserError(`${path}: the directory was removed`);
}
