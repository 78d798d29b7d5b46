/**
 * The three ways in which descriptors outlive the daemon: the guardian (native/guard), systemd's
 * file descriptor store, and s6-fdholder.
 */
import type { Keeper } from '../shared/kernel/keeper.js';
import type { StatusLines } from '../shared/status-lines.js';

/** A process that holds descriptors for the next daemon. */
export interface Holder extends Keeper {
  /** Whether the last daemon has left a mount. */
  readonly takesOver: boolean;
  /** Returns the descriptor that `take` would return; it stays here. */
  look(name: string): number | undefined;
  /** Says that this daemon can't take over. */
  nack(why: string): void;
  /** Returns the holder's lines of `log/.status`. */
  statusLines(): StatusLines;
  /** Drops all descriptors, after the daemon has unmounted, and ends the connection. */
  release(): void;
}
