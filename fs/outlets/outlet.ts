/** The interface of all outlets: the exits of the bus besides the tree. */
import type { Bus, BusListener } from '../bus/bus.js';
import type { Keeper } from '../shared/kernel/keeper.js';
import type { Logger } from '../shared/log/logger.js';
import type { Trace } from '../shared/log/trace.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { FilterHost } from '../tree/filter-charge.js';
import type { OpenedPaths } from './opened-paths.js';

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

/** The parts of the daemon that outlets use. */
export interface OutletHost {
  readonly bus: Bus;
  /** Limits and charges for the filters that clients send. */
  readonly filters: FilterHost;
  readonly logger: Logger;
  readonly trace: Trace;
  /** Keeps listening sockets and processes of namespaces for the next daemon. */
  readonly keeper: Keeper;
  /** The paths that this daemon has opened while another one served (default: none). */
  readonly opened?: OpenedPaths | undefined;
}
