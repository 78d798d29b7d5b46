/** A daemon, as a guardian sees it that replaces it by another one. */

/** The calls by which a guardian replaces a daemon that lives. */
export interface Replaceable {
  /** Commits all changes: the next daemon may use the state from now on, until `resume`. */
  yield(): void;
  /** Serves again: the next daemon could not take over. */
  resume(): void;
  /** @returns false if the next daemon has taken over, before the guardian ended */
  takeBack(): boolean;
  /** Ends this process without an unmount: the next daemon serves. */
  quit(): void;
}
