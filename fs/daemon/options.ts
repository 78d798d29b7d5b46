/** What a daemon can be told. This file loads nothing else, so that the command line can offer the options. */
import type { DevFuseOptions, DriverName } from '../drivers/driver.js';
import type { OutletOptions } from '../outlets/open-outlets.js';
import type { Logger } from '../shared/logger.js';
import type { Trace } from '../shared/trace.js';
import type { Config } from './config/config.js';

export {
  DRIVER_NAMES,
  TRANSPORT_NAMES,
  type DriverName,
  type TransportName,
} from '../drivers/driver.js';
export type { OutletOptions, SocketPlace } from '../outlets/open-outlets.js';

export interface StickyDirectory {
  readonly name: string;
  readonly mode: number;
}

/** The netlink groups that can feed the tree. */
export const SOURCE_NAMES = ['kernel', 'udev'] as const;
export type SourceName = (typeof SOURCE_NAMES)[number];

/** What SIGHUP can change while the mount is there. */
export interface LiveSettings {
  readonly config: Config;
  /** Whether `stream`, head and tail are listed too. */
  readonly listsLinks: boolean;
}

export interface DaemonOptions extends DevFuseOptions, LiveSettings {
  /** Where to mount, as mountinfo would show it. */
  readonly path: string;
  /** The netlink groups that feed the tree; there may be none. */
  readonly sources: readonly SourceName[];
  /** Where else events go. */
  readonly outlets: OutletOptions;
  readonly driver: DriverName;
  /** Directories that are there from the start and stay, with their modes. */
  readonly sticky: readonly StickyDirectory[];
  /** Where warnings and unexpected errors go; the `console` will do. */
  readonly logger: Logger;
  /** What is traced, and where to (default nothing). */
  readonly trace?: Trace;
}
