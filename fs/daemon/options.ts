/**
 * The options of a daemon. This file loads only fs/drivers/driver.ts at run time, so that the
 * command line can offer the options without the daemon's code.
 */
import type { DevFuseOptions, DriverName } from '../drivers/driver.js';
import type { Holder } from '../guard/holder.js';
import type { OutletOptions } from '../outlets/open-outlets.js';
import type { OpenedPaths } from '../outlets/opened-paths.js';
import type { Logger } from '../shared/log/logger.js';
import type { Trace } from '../shared/log/trace.js';
import type { Config } from './config/config.js';
import type { MappedState } from './state-memory.js';

export {
  DRIVER_NAMES,
  TRANSPORT_NAMES,
  type DriverName,
  type TransportName,
} from '../drivers/driver.js';
export type { NetnsPlace, OutletOptions, SocketPlace } from '../outlets/open-outlets.js';
export type { OpenedPaths } from '../outlets/opened-paths.js';

/** A directory that exists from the start and stays without an owner. */
export interface StickyDirectory {
  readonly name: string;
  readonly mode: number;
}

/** A netlink group that can feed the tree. */
export type SourceName = 'kernel' | 'udev';

/** The settings that SIGHUP can change while the mount exists. */
export interface LiveSettings {
  readonly config: Config;
  /** Whether directories list `stream`, `head` and `tail` too. */
  readonly listsLinks: boolean;
}

/** Everything that {@link Daemon} needs to know. */
export interface DaemonOptions extends DevFuseOptions, LiveSettings {
  /** The directory to mount on, as mountinfo shows it. */
  readonly path: string;
  /** The netlink groups that feed the tree; may be empty. */
  readonly sources: readonly SourceName[];
  /** The exits of events besides the tree. */
  readonly outlets: OutletOptions;
  readonly driver: DriverName;
  /** The sticky directories, with their modes. */
  readonly sticky: readonly StickyDirectory[];
  /** The uid that the file `publish` belongs to (default: that of root, or of the mount's user). */
  readonly publisher?: number;
  /** Receives warnings and unexpected errors; the `console` is good enough. */
  readonly logger: Logger;
  /** Keeps descriptors for the next daemon (default: nothing is kept). */
  readonly holder?: Holder;
  /** The holder's state, if it is mapped already. */
  readonly mapped?: MappedState | undefined;
  /** The paths of outlets that this daemon has opened while another one served. */
  readonly opened?: OpenedPaths | undefined;
  /** Chooses what to trace, and the place of the output (default: no trace). */
  readonly trace?: Trace;
}
