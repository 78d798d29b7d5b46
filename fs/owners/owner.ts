/** An owner, and the things that end with it. */
import { NO_KEPT_PIDFDS } from './kept-pidfds.js';
import type { Pid } from './process.js';

/** A thing that ends with its owner. */
export interface Mortal {
  /** Ends the thing: its owner is dead. */
  ownerDied(): void;
  /** Describes the thing, and what its end frees, for the trace. */
  describe(): string;
}

/** A living process that owns a thing. */
export class Owner {
  /** The things that end with the process. */
  readonly owned = new Set<Mortal>();
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

  /** Lets go of the handle: the process has ended, or owns nothing any more. */
  dropHandle(): void {
    this.pidfds.drop(this.pid, this.#handle);
  }
}
