/** The interface of all outlets: the exits of the bus besides the tree. */
import type { BusListener } from '../bus/bus.js';
import type { StatusLines } from '../shared/status-lines.js';

/** The most messages that one call into the addon can send. */
export const MOST_MESSAGES = 64;

/** An outlet that an option has switched on. */
export interface Outlet extends BusListener {
  /**
   * Begins to serve clients that connect: from now on this daemon serves, and no other one. Does
   * nothing if it has begun.
   */
  start?(): void;
  /** Returns the outlet's lines of `log/.status`. */
  statusLines(): StatusLines;
  /** Closes all descriptors of the outlet. */
  close(): void;
}
