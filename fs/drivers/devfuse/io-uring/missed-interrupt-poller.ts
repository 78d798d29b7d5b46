/**
 * Through io_uring the kernel may not tell us that a blocked reader was interrupted: where the
 * signal comes before the READ has been handed over, there is no INTERRUPT (fs/fuse/dev.c,
 * request_wait_answer(): FR_SENT is not set yet). Such a reader, killed or not, is in state D from
 * then on, until we answer. So each parked read is looked at once, a little later:
 *
 * D it waits for nothing but our answer: a signal has come, and the read ends with EINTR, as for an
 * INTERRUPT R it has been woken, or has not got to sleep yet: look again S no signal has come, and
 * of one that comes from now on we will be told
 *
 * A read that is answered earlier costs nothing.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { ParkedRead } from '../../../tree/nodes/node.js';
import type { ParkedReads } from '../parked-reads.js';

/** A read is looked at when it has waited for once to twice that time. */
const LOOK_EVERY_MS = 50;
/** The most that are looked at before others have their turn. */
const MOST_AT_ONCE = 64;

export class MissedInterruptPoller {
  #timer: NodeJS.Timeout | null = null;
  readonly #stat = Buffer.alloc(256);

  /** @param interrupt ends a parked read as INTERRUPT would */
  constructor(
    private readonly parked: ParkedReads,
    private readonly interrupt: (read: ParkedRead) => void,
  ) {}

  /** A read has been parked. */
  watch(): void {
    this.#timer ??= setTimeout(this.#look, LOOK_EVERY_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #look = (): void => {
    this.#timer = null;
    const { parked } = this;
    let left = MOST_AT_ONCE;
    let isDone = true;
    for (let slot = 0; slot < parked.slots; slot++) {
      const read = parked.at(slot);
      if (read === undefined || parked.isInterruptible(slot)) continue;
      if (left === 0 || !parked.grow(slot)) {
        isDone = false;
        continue;
      }
      left--;
      const state = this.#stateOf(parked.tidOf(slot));
      if (state === 'D') this.interrupt(read);
      else if (state === 'R') isDone = false;
      else parked.markInterruptible(slot);
    }
    if (!isDone) this.watch();
  };

  /**
   * The third field of /proc/<tid>/stat (proc_pid_stat(5)), behind a name that may have anything in
   * it.
   */
  #stateOf(tid: number): string {
    try {
      const fd = openSync(`/proc/${tid}/stat`, 'r');
      try {
        const text = this.#stat.toString('latin1', 0, readSync(fd, this.#stat));
        return text[text.lastIndexOf(')') + 2];
      } finally {
        closeSync(fd);
      }
    } catch {
      return ''; // it has no number here, or a thread of the kernel's reads for it
    }
  }
}
