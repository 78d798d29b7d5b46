/**
 * Descriptors that outlive the daemon: another process holds copies of them, and passes them to the
 * next daemon. Without such a process, {@link NO_KEEPER} keeps nothing.
 */

/** Keeps descriptors for the next daemon, and has those of the last one. */
export interface Keeper {
  /** Whether descriptors are kept at all. */
  readonly keeps: boolean;
  /** Whether this daemon follows a dead one: if it can't serve, no other daemon does. */
  readonly followsDeath: boolean;
  /**
   * Whether it has the kernel send unanswered requests again (FUSE_NOTIFY_RESEND). Else this daemon
   * does that.
   */
  readonly resends: boolean;
  /**
   * Takes a descriptor that the last daemon has kept. The caller closes it.
   *
   * @returns undefined if there is none of that name
   */
  take(name: string): number | undefined;
  /**
   * Keeps a copy of a descriptor, in place of an earlier one with that name. The descriptor stays
   * open until `drop`: the keeper may be stopped, and then gets it later.
   */
  keep(name: string, fd: number): void;
  /** Ends the copy of that name. */
  drop(name: string): void;
  /**
   * Says that this daemon can serve.
   *
   * @returns a promise that resolves when it may: the last daemon no longer serves
   */
  ready(): Promise<void>;
}

/** Keeps nothing. */
export const NO_KEEPER: Keeper = {
  keeps: false,
  followsDeath: false,
  resends: false,
  take: () => undefined,
  keep: () => undefined,
  drop: () => undefined,
  ready: () => Promise.resolve(),
};
