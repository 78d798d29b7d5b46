/** An owner, and the things that end with it. */
import { NO_KEPT_PIDFDS } from './kept-pidfds.js';
import type { Pid } from './process.js';

/** A thing that ends with its owner. */
export interface Mortal {
  /** Whether the thing stays after its owner's death. */
  readonly isSticky: boolean;
  /** Removes the thing, or notes that it stays: its owner is dead. */
  ownerDied(): void;
  /** Describes the thing, and what its end frees, for the trace. */
  describe(): string;
}

/** A process that owns a thing, or that has died and left one. */
export class Owner {
  /** Whether the process is dead. Then the things that it owns have ended, but the sticky ones. */
  isDead = false;
  /** The things that the process owns. */
  readonly owned = new Set<Mortal>();
  /** How many of them are sticky. */
  staying = 0;
  #handle: string | null;

  constructor(
    readonly pid: Pid,
    readonly pidfd: number,
    private readonly pidfds = NO_KEPT_PIDFDS,
    handle: string | null = null,
  ) {
    this.#handle = handle;
  }

  /**
   * The handle by which a later daemon finds the process, and never another one with its PID: see
   * KeptPidfds.
   */
  get handle(): string {
    return (this.#handle ??= this.pidfd < 0 ? '' : this.pidfds.handleOf(this.pid, this.pidfd));
  }

  /** Makes the process the owner of a thing. */
  own(thing: Mortal): void {
    this.owned.add(thing);
    if (thing.isSticky) this.staying++;
  }

  /**
   * Takes a thing from the process.
   * @returns whether the process owned it
   */
  disown(thing: Mortal): boolean {
    if (!this.owned.delete(thing)) return false;
    if (thing.isSticky) this.staying--;
    return true;
  }

  /** Lets go of the handle: the process has ended, or owns nothing any more. */
  dropHandle(): void {
    this.pidfds.drop(this.pid, this.#handle);
  }
}
