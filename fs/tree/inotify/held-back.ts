/**
 * The directories whose events are held back: a notifier is stuck in them, or was a short time ago
 * (fs/drivers/devfuse/stuck-notifier.ts).
 */
import { clock } from '../../shared/clock.js';
import { MOUNT_USER } from '../nodes/attributes.js';
import type { WatchedDirectory } from './watch-state.js';

/**
 * How long a directory's events are held back after the notifier was stuck in it. Each time, the
 * events of all other directories wait until the daemon knows that it is stuck. So this doubles
 * with each time, in whatever directory, until none has come for a while.
 */
const FIRST_MS = 1000;
const LONGEST_MS = 16_000;
const CALM_MS = 60_000;
/** A user with this number of such directories has all of its events held back. */
const MOST_OF_USER = 4;
/** The most notifiers that are stuck at a time, which is the number of processes left behind. */
const MOST_STUCK = 64;

/** A directory whose events are held back. */
interface Held {
  readonly uid: number;
  /** Whether a notifier is still stuck in it. */
  isStuck: boolean;
}

/** The directories whose events are held back. */
export class HeldBack {
  /** By inode. */
  readonly #held = new Map<number, Held>();
  /** The directory of the batch that the notifier has looked up last. */
  #lookedUp: WatchedDirectory | null = null;
  /** How long events were held back last, in milliseconds. */
  #lastMs = FIRST_MS;
  /** When a notifier was stuck last: milliseconds of clock.monotonicMs(). */
  #lastAtMs = -Infinity;

  /** Notes that a new batch begins. */
  begin(): void {
    this.#lookedUp = null;
  }

  /** Notes that the notifier looks up a directory of its batch. */
  lookedUp(directory: WatchedDirectory): void {
    this.#lookedUp = directory;
  }

  /** The directory in which the notifier makes files; null if it works in the root. */
  get inWork(): WatchedDirectory | null {
    const unmade = this.#lookedUp?.watch?.candidates?.inBatch?.size ?? 0;
    return unmade > 0 ? this.#lookedUp : null;
  }

  /** Whether no notifier has been stuck for a while. */
  get isCalm(): boolean {
    return clock.monotonicMs() - this.#lastAtMs > CALM_MS;
  }

  /**
   * Holds the events of a directory back: a notifier is stuck in it.
   * @returns false if too many notifiers are stuck already
   */
  add({ ino, uid }: WatchedDirectory): boolean {
    const stuck = [...this.#held.values()].filter(({ isStuck }) => isStuck).length;
    if (stuck >= MOST_STUCK) return false;
    this.#lastMs = this.isCalm ? FIRST_MS : Math.min(2 * this.#lastMs, LONGEST_MS);
    this.#lastAtMs = clock.monotonicMs();
    this.#held.set(ino, { uid, isStuck: true });
    return true;
  }

  /**
   * Notes that the notifier is not stuck in the directory any more.
   * @returns the milliseconds after which the caller calls `end`
   */
  loosen(ino: number): number {
    this.#lastAtMs = clock.monotonicMs();
    const held = this.#held.get(ino);
    if (held !== undefined) held.isStuck = false;
    return this.#lastMs;
  }

  /** Holds the events of a directory back no longer. */
  end(ino: number): void {
    this.#held.delete(ino);
  }

  /** Returns the directories whose events are not held back. */
  without(due: ReadonlySet<WatchedDirectory>): Iterable<WatchedDirectory> {
    if (this.#held.size === 0) return due;
    const users = this.#usersWithMany();
    return [...due].filter(({ ino, uid }) => !this.#held.has(ino) && !users.has(uid));
  }

  /** Any user may hold up directories of the mount's user, such as `log/`: these do not count. */
  #usersWithMany(): ReadonlySet<number> {
    const counts = new Map<number, number>();
    for (const { uid } of this.#held.values()) counts.set(uid, (counts.get(uid) ?? 0) + 1);
    counts.delete(MOUNT_USER.uid);
    return new Set([...counts.keys()].filter((uid) => counts.get(uid)! >= MOST_OF_USER));
  }
}
