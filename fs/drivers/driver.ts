/** The interface of a driver, which connects the tree to the kernel. */
import type { Keeper } from '../shared/kernel/keeper.js';
import type { Logger } from '../shared/log/logger.js';
import type { Trace } from '../shared/log/trace.js';
import type { Tree } from '../tree/tree.js';
import type { KeptInit } from './devfuse/hand-over/kept-init.js';
import type { Recovery } from './devfuse/hand-over/recovery.js';

/** Connects one tree to the kernel at one mount point. */
export interface Driver {
  /**
   * Mounts the tree and serves requests in the event loop.
   * @param path the mount point, as /proc/self/mountinfo shows it
   * @param onEnd called if the connection ends without a call of `unmount`: another process has
   *   unmounted it
   * @returns a promise that resolves when the mount serves clients
   * @throws UserError if the tree can't be mounted
   */
  mount(path: string, onEnd: () => void): Promise<void>;
  /** Begins to serve a mount that was taken over. A mount that is new is served already. */
  serve?(): void;
  /** Stops to serve until the next `serve`: requests wait in the kernel. */
  pause?(): void;
  /** Prepares `serve` after `pause`: the kernel may have sent the parked reads again. */
  takeBack?(): void;
  /**
   * The limits of this mount, each with a remedy. The log gets them at the start. They are known
   * after `mount`.
   */
  readonly limits: readonly string[];
  /** Ends every blocked read with end of file, unmounts, and releases the connection. */
  unmount(): void;
}

/** The parts of the daemon that a driver uses. */
export interface DriverHost {
  readonly tree: Tree;
  readonly logger: Logger;
  readonly trace: Trace;
  /** To be called for each request before the driver serves it. */
  readonly noteRequest: () => void;
}

/** The values of `--driver`. */
export const DRIVER_NAMES = ['devfuse', 'fuse-native'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

/**
 * The values of `--transport`: how devfuse receives requests. `auto` chooses between the other two.
 */
export const TRANSPORT_NAMES = ['auto', 'read', 'io-uring'] as const;
export type TransportName = (typeof TRANSPORT_NAMES)[number];

/** The options of devfuse. fuse-native ignores them. */
export interface DevFuseOptions {
  /** How long to poll for the next request before sleeping, in microseconds; 0 for not at all. */
  readonly busyPollUs: number;
  /** How devfuse receives requests. */
  readonly transport: TransportName;
  /**
   * How long a handler may take before its request is answered EIO, in milliseconds; 0: no bound.
   */
  readonly requestBoundMs: number;
  /** The beginning of a line of text on standard error; '' if the log is not such text. */
  readonly linePrefix: string;
  /** The source that mount tables show. Default: eventfs. */
  readonly fsname?: string;
  /** The replies of the daemon before this one; none by default. */
  readonly recovery?: Recovery;
  /** Keeps the mount for the next daemon (default: nothing is kept). */
  readonly keeper?: Keeper;
  /** The place for the result of INIT; needed with a keeper. */
  readonly keptInit?: KeptInit;
}
