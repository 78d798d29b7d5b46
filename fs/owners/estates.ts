/**
 * The things that dead owners leave behind.
 *
 * A death takes effect in one step: the owner is marked as dead, and each lookup, handle and
 * blocked read looks at that mark. An owner may have 50,000 directories, and 10,000 owners may die
 * at once. So the work that remains (names, records, notices, refunds) is cut into turns.
 */
import { Errno, FsError } from '../shared/errors.js';
import type { Endings } from './endings.js';
import type { Mortal, Owner } from './owner.js';
import { descriptorRefusals } from './process.js';

/** The dead owners whose things are not all removed yet. */
export class Estates {
  /** In the order of the deaths. */
  readonly #dead = new Set<Owner>();
  /** Those of them whose ending `endings` does not count yet. */
  readonly #uncounted = new Set<Owner>();
  #ending = 0;
  /** The owner whose things are being removed, and the walk over them: a new one would be O(n). */
  #current: Owner | undefined;
  #rest: Iterator<Mortal, undefined> | undefined;
  #isPostponed = false;
  #postpone: (task: Estates) => void = (task) => task.finish();

  /** @param endings counts how the owners ended, when their things are removed */
  constructor(private readonly endings: Endings) {}

  /** @param postpone does the task in turns between requests (tree/turns.ts) */
  postponeBy(postpone: (task: Estates) => void): void {
    this.#postpone = postpone;
  }

  /** How many things have ended for all processes and are not removed yet. */
  get ending(): number {
    return this.#ending;
  }

  /** Iterates over these things, and over those that stay. The caller may remove some meanwhile. */
  *things(): IterableIterator<Mortal> {
    for (const { owned } of this.#dead) yield* owned;
  }

  /** Marks an owner as dead: what it owns has ended, except for things that stay. */
  add(owner: Owner): void {
    owner.isDead = true;
    this.#ending += owner.owned.size - owner.staying;
    this.#dead.add(owner);
    this.#uncounted.add(owner);
    if (this.#isPostponed) return;
    this.#isPostponed = true;
    this.#postpone(this);
  }

  /**
   * Removes one thing, or lets go of an owner that has left nothing.
   * @returns whether nothing is left to do
   */
  step(): boolean {
    const owner = this.#dead.values().next().value;
    if (owner !== this.#current) {
      this.#current = owner;
      this.#rest = owner?.owned.values();
    }
    const thing = this.#rest?.next().value;
    if (owner !== undefined && thing !== undefined) this.remove(owner, thing);
    if (owner?.owned.size === 0) this.#letGo(owner);
    this.#isPostponed = this.#dead.size > 0;
    return !this.#isPostponed;
  }

  /** Removes a thing of a dead owner before its turn: a living process needs its place. */
  remove(owner: Owner, thing: Mortal): void {
    if (!owner.disown(thing)) return;
    if (!thing.isSticky) this.#ending--;
    thing.ownerDied();
  }

  /**
   * The owner's ending is counted only now. If the daemon is killed before that, the next daemon
   * finds records of the owner and counts it.
   */
  #letGo(owner: Owner): void {
    this.#dead.delete(owner);
    owner.dropHandle();
    if (this.#uncounted.delete(owner)) this.endings.add(owner);
  }

  /**
   * Closes the pidfds of dead owners: the daemon has no descriptor left.
   * @throws error if it is another one, or if no dead owner has a pidfd
   */
  makeRoom(error: unknown): void {
    const isFull = error instanceof FsError && error.errno === Errno.ENFILE;
    if (!isFull || this.endings.pending + this.#uncounted.size === 0) throw error;
    descriptorRefusals.count--; // no caller is refused yet
    for (const owner of this.#uncounted) this.endings.add(owner);
    this.#uncounted.clear();
    this.endings.finish();
  }

  /** Does all of the work at once. */
  finish(): void {
    while (!this.step());
  }
}
