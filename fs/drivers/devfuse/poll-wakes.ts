/**
 * Poll wake-ups. The kernel wakes all pollers of an open file inside our write(2) of FUSE_NOTIFY_POLL (fs/fuse/file.c,
 * fuse_notify_poll_wakeup). A user may have thousands of threads or epoll sets on one file, and each wake-up then takes
 * many milliseconds, in which nobody is served. So a file that is slow to wake is woken seldom: its pollers wait longer,
 * and other users do not.
 */
import type { Handle } from '../../tree/nodes/node.js';

/**
 * A wake-up that takes more CPU time than this is slow: that of some hundred pollers. Time that passes is no measure, because
 * the poller that was woken may run on our CPU meanwhile.
 */
const SLOW_MS = 1;
/** A slow file is woken again after so many times as long as it took. */
const PAUSE_FACTOR = 200;
const MOST_PAUSE_MS = 5000;
/** How often it is looked whether the pause of a slow file is over. */
const LOOK_EVERY_MS = 20;

export class PollWakes {
  /** When each slow file may be woken again (performance.now()). */
  readonly #notBeforeMs = new Map<Handle, number>();
  /** The slow files that have to be woken. */
  readonly #due = new Set<Handle>();
  #timer: NodeJS.Timeout | null = null;

  /** @param notify wakes the pollers of an open file */
  constructor(private readonly notify: (handle: Handle) => void) {}

  /** Wakes the pollers of an open file now, or later where the last wake-up took long. */
  wake(handle: Handle): void {
    if (this.#notBeforeMs.has(handle)) {
      this.#due.add(handle);
      return;
    }
    this.#wakeNow(handle);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#due.clear();
    this.#notBeforeMs.clear();
  }

  #wakeNow(handle: Handle): void {
    const before = process.cpuUsage();
    this.notify(handle);
    const { user, system } = process.cpuUsage(before);
    const tookMs = (user + system) / 1000;
    if (tookMs <= SLOW_MS) return;
    this.#notBeforeMs.set(
      handle,
      performance.now() + Math.min(tookMs * PAUSE_FACTOR, MOST_PAUSE_MS),
    );
    this.#lookLater();
  }

  #lookLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#look();
    }, LOOK_EVERY_MS);
  }

  /** Ends the pauses that are over, and wakes at most one file. */
  #look(): void {
    const nowMs = performance.now();
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
