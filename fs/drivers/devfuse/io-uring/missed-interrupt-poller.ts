/**
 * Finds interrupted readers that the kernel does not report with io_uring. If a signal comes before
 * the kernel has handed the READ over, it sends no INTERRUPT (fs/fuse/dev.c, request_wait_answer():
 * FR_SENT is not set yet). The reader, killed or not, is then in state D until the daemon answers.
 * So the daemon reads the state of each parked read's thread a little later:
 *
 *   D   a signal has come, and the thread waits only for the answer: end the read with EINTR
 *   R   the thread was woken, or does not sleep yet: look again
 *   S   no signal has come, and the kernel will send INTERRUPT for a later one
 *
 * A read that is answered before that costs nothing.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { ParkedRead } from '../../../tree/nodes/node.js';
import type { ParkedReads } from '../parked-reads.js';

/** The daemon looks at a read after it has waited for one to two times this long. */
const LOOK_EVERY_MS = 50;
/** The most reads that the daemon looks at before it serves requests again. */
const MOST_AT_ONCE = 64;

/** Ends parked reads whose INTERRUPT the kernel does not send. */
export class MissedInterruptPoller {
  #timer: NodeJS.Timeout | null = null;
  /** The beginning of a /proc/<tid>/stat. */
  readonly #stat = Buffer.alloc(256);

  /**
   * @param parked the reads to look at
   * @param interrupt ends a parked read as INTERRUPT would
   */
  constructor(
    private readonly parked: ParkedReads,
    private readonly interrupt: (read: ParkedRead) => void,
  ) {}

  /**
   * Starts the timer unless it is running. The driver calls this method after it has parked a read.
   */
  watch(): void {
    this.#timer ??= setTimeout(this.#look, LOOK_EVERY_MS);
  }

  /** Stops the timer. */
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
   * Returns the thread's state: the third field of /proc/<tid>/stat (proc_pid_stat(5)). The field
   * before it is a name that may contain any character, also `)`. Returns '' if there is no such
   * thread.
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
      return ''; // the thread has no id in this PID namespace, or a kernel thread reads for it
    }
  }
}
