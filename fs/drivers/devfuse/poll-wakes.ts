/**
 * Wakes pollers, and limits the time that this takes. The kernel wakes all pollers of an open file
 * inside the daemon's write(2) of FUSE_NOTIFY_POLL (fs/fuse/file.c, fuse_notify_poll_wakeup).
 *
 * A user may have thousands of threads or epoll sets on one file. Each wake-up then takes many
 * milliseconds, in which the daemon serves no request. So the daemon wakes such a slow file less
 * often: its pollers wait longer, and other users do not.
 *
 * A user may also have a thousand files with hundreds of epoll sets each. No wake-up is slow then,
 * and all together take hundreds of milliseconds. So wake-ups are cut into turns, between which the
 * daemon serves requests, and the users of the files take turns too.
 */
import { clock } from '../../shared/clock.js';
import type { Handle } from '../../tree/nodes/node.js';
import { type Task, Turns } from '../../tree/turns.js';

/**
 * A wake-up that takes more CPU time than this is slow, in milliseconds: it is the cost of some
 * hundred pollers. Elapsed time would not tell, because a woken poller may run on the daemon's CPU
 * meanwhile.
 */
const SLOW_MS = 1;
/** The pause after a slow wake-up, as a multiple of its CPU time. */
const PAUSE_FACTOR = 200;
/**
 * The longest pause. One file can have a million watches: one epoll set has a place for each
 * duplicate of its descriptor. Such a wake-up takes 200 ms, and can't be divided.
 */
const MOST_PAUSE_MS = 60_000;
/** How often the daemon checks whether a pause is over. */
const LOOK_EVERY_MS = 20;
/** The user of a file that no account is charged for. No user has this uid. */
const NO_USER = -1;

/** The open files of one user that wait for their wake-ups, in order and each once. */
class WaitingFiles {
  readonly #files = new Set<Handle>();
  /** One iterator for all: a new one would pass the places of all taken files again. */
  readonly #rest = this.#files.values();

  add(handle: Handle): void {
    this.#files.add(handle);
  }

  get isEmpty(): boolean {
    return this.#files.size === 0;
  }

  /** Takes the file that has waited longest; undefined if none waits. */
  take(): Handle | undefined {
    const handle = this.#rest.next().value;
    if (handle !== undefined) this.#files.delete(handle);
    return handle;
  }
}

/** Wakes the pollers of open files in turns, and pauses after slow wake-ups. */
export class PollWakes implements Task {
  /** The files that wait for their wake-ups, by the user of the file, in the order of turns. */
  readonly #waiting = new Map<number, WaitingFiles>();
  /** The users whose turns come next. Each is taken out of `#waiting` at its turn. */
  readonly #nextUsers = this.#waiting.entries();
  readonly #turns = new Turns();
  /** The end of each slow file's pause (clock.monotonicMs()). */
  readonly #notBeforeMs = new Map<Handle, number>();
  /** The slow files to wake after their pause. */
  readonly #due = new Set<Handle>();
  #timer: NodeJS.Timeout | null = null;

  /** @param notify wakes the pollers of an open file, and returns when the kernel has done it */
  constructor(private readonly notify: (handle: Handle) => void) {}

  /**
   * Wakes the pollers of an open file: at once, in a later turn if others have taken long, or after
   * the file's pause if its last wake-up was slow.
   */
  wake(handle: Handle): void {
    if (this.#notBeforeMs.has(handle)) {
      this.#due.add(handle);
      return;
    }
    const isUnderWay = this.#waiting.size > 0;
    const uid = handle.account?.uid ?? NO_USER;
    let files = this.#waiting.get(uid);
    if (files === undefined) this.#waiting.set(uid, (files = new WaitingFiles()));
    files.add(handle);
    if (!isUnderWay) this.#turns.add(this);
  }

  /**
   * Wakes one file of the user whose turn it is.
   * @returns whether no file is left
   */
  step(): boolean {
    if (this.#waiting.size === 0) return true;
    const [uid, files] = this.#nextUsers.next().value!;
    const handle = files.take();
    this.#waiting.delete(uid);
    if (!files.isEmpty) this.#waiting.set(uid, files); // behind the other users
    if (handle !== undefined) this.#wakeNow(handle);
    return this.#waiting.size === 0;
  }

  /** Drops all pauses, and all wake-ups that wait. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#due.clear();
    this.#waiting.clear();
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
