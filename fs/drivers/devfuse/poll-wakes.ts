/**
 * Wakes pollers, and limits the time that this takes. The kernel wakes all pollers of an open file
 * inside the daemon's write(2) of FUSE_NOTIFY_POLL (fs/fuse/file.c, fuse_notify_poll_wakeup). A
 * user may have thousands of threads or epoll sets on one file. Each wake-up then takes many
 * milliseconds, in which the daemon serves no request. So the daemon wakes such a slow file less
 * often: its pollers wait longer, and other users do not.
 */
import { clock } from '../../shared/clock.js';
import type { Handle } from '../../tree/nodes/node.js';

/**
 * A wake-up that takes more CPU time than this is slow, in milliseconds: it is the cost of some
 * hundred pollers. Elapsed time would not tell, because a woken poller may run on the daemon's CPU
 * meanwhile.
 */
const SLOW_MS = 1;
/** The pause after a slow wake-up, as a multiple of its CPU time. */
const PAUSE_FACTOR = 200;
/** The longest pause. */
const MOST_PAUSE_MS = 5000;
/** How often the daemon checks whether a pause is over. */
const LOOK_EVERY_MS = 20;

/** Wakes the pollers of open files, and pauses after slow wake-ups. */
export class PollWakes {
  /** The end of each slow file's pause (clock.monotonicMs()). */
  readonly #notBeforeMs = new Map<Handle, number>();
  /** The slow files to wake after their pause. */
  readonly #due = new Set<Handle>();
  #timer: NodeJS.Timeout | null = null;

  /** @param notify wakes the pollers of an open file, and returns when the kernel has done it */
  constructor(private readonly notify: (handle: Handle) => void) {}

  /** Wakes the pollers of an open file now, or after its pause if its last wake-up was slow. */
  wake(handle: Handle): void {
    if (this.#notBeforeMs.has(handle)) {
      this.#due.add(handle);
      return;
    }
    this.#wakeNow(handle);
  }

  /** Drops all pauses, and all wake-ups that wait. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#due.clear();
    this.#notBeforeMs.clear();
  }

  #wakeNow(handle: Handle): void {
    const before = clock.cpuMs();
    this.notify(handle);
    const tookMs = clock.cpuMs() - before;
    if (tookMs <= SLOW_MS) return;
    this.#notBeforeMs.set(
      handle,
      clock.monotonicMs() + Math.min(tookMs * PAUSE_FACTOR, MOST_PAUSE_MS),
    );
    this.#lookLater();
  }

  #lookLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#look();
    }, LOOK_EVERY_MS);
  }

  /** Ends each pause that is over, until one file is woken. */
  #look(): void {
    const nowMs = clock.monotonicMs();
    for (const [handle, notBeforeMs] of this.#notBeforeMs) {
      if (notBeforeMs > nowMs) continue;
      this.#notBeforeMs.delete(handle);
      if (!this.#due.delete(handle)) continue;
      this.#wakeNow(handle);
      break;
    }
    if (this.#notBeforeMs.size > 0) this.#lookLater();
  }
}
