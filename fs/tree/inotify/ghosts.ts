/** The ghosts: dead owners' directories that the notifier removes through the mount. */
import type { Directory } from '../nodes/directory.js';
import type { Batch } from './batch.js';

/** The most ghosts in one batch. */
const MOST_GHOSTS_AT_ONCE = 64;
/** The most ghosts. The end of a further directory raises no inotify event. */
const MOST_GHOSTS = 64 * 1024;

/** A dead owner's directory, which only the notifier still finds. */
export interface Ghost extends Directory {
  readonly name: string;
  /** Charges the directory's account for the memory that the ghost keeps. */
  chargeGhost(): void;
  /** Refunds what `chargeGhost` has charged. */
  refundGhost(): void;
}

/** All ghosts of a mount. */
export class Ghosts {
  /** The ghosts, by the names under which the notifier finds them. */
  readonly #ghosts = new Map<string, Ghost>();
  /** The names that no batch has yet. */
  #unsent: string[] = [];
  /** The names in the batch that the notifier works on. */
  #inBatch: string[] = [];

  /** The number of ghosts. */
  get size(): number {
    return this.#ghosts.size;
  }

  /** Iterates over all ghosts. */
  all(): IterableIterator<Ghost> {
    return this.#ghosts.values();
  }

  /** Finds a ghost by its name. */
  get(name: string): Ghost | undefined {
    return this.#ghosts.get(name);
  }

  /**
   * Adds a directory and charges it, if there are not too many ghosts.
   * @returns whether it is a ghost now
   */
  add(directory: Ghost): boolean {
    if (this.#ghosts.size >= MOST_GHOSTS) return false;
    directory.chargeGhost();
    this.nameTaken(directory.name); // another PID namespace may have had a directory of that name
    this.#put(directory.name, directory);
    return true;
  }

  /**
   * Renames the ghost of that name, if there is one: a new directory takes the name, and the
   * notifier must not remove that one. No process sees the ghost's new name.
   * @returns whether there was one
   */
  nameTaken(name: string): boolean {
    const ghost = this.#ghosts.get(name);
    if (ghost === undefined) return false;
    this.#ghosts.delete(name);
    this.#put(`.ended-${ghost.ino}`, ghost);
    return true;
  }

  #put(name: string, ghost: Ghost): void {
    this.#ghosts.set(name, ghost);
    this.#unsent.push(name);
  }

  /**
   * Removes a ghost and refunds it.
   * @returns false if there is no such ghost (any more)
   */
  remove(name: string): boolean {
    this.#ghosts.get(name)?.refundGhost();
    return this.#ghosts.delete(name);
  }

  /** Puts the next ghosts into a batch. */
  putInto(batch: Batch): void {
    for (const name of this.#unsent.splice(0, MOST_GHOSTS_AT_ONCE)) {
      if (!this.#ghosts.has(name)) continue;
      batch.addGhost(name);
      this.#inBatch.push(name);
    }
  }

  /**
   * Ends the batch of ghosts that the notifier was told to remove. Some may remain: the notifier
   * cannot remove a ghost that is a mount point.
   */
  batchDone(): void {
    for (const name of this.#inBatch) this.remove(name);
    this.#inBatch = [];
  }

  /** Puts the ghosts of the unfinished batch back: the notifier has died. */
  requeue(): void {
    this.#unsent.unshift(...this.#inBatch);
    this.#inBatch = [];
  }

  /** Removes all ghosts. Called when no notifier runs. */
  clear(): void {
    for (const name of [...this.#ghosts.keys()]) this.remove(name);
    this.#unsent = [];
    this.#inBatch = [];
  }
}
