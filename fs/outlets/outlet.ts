import type { BusListener } from '../bus/bus.js';
import type { StatusLines } from '../shared/status-lines.js';

/** The most messages of one call into the addon. */
export const MOST_MESSAGES = 64;

/** An outlet that an option has switched on. */
export interface Outlet extends BusListener {
  /** Its lines of `log/.status`. */
  statusLines(): StatusLines;
  /** Lets go of all that it holds. */
  close(): void;
}
