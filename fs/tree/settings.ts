/** The configured settings of the tree. */
import type { QueueLimits } from '../bus/queue.js';
import { FILTER_LIMITS, type FilterLimits } from '../uevent/filter/filter.js';

/** The settings of the tree. They can change while the mount exists. */
export interface TreeSettings {
  /** The bounds of each queue. */
  readonly queueLimits: QueueLimits;
  /** The bounds of a new filter. A filter that exists already is not checked again. */
  readonly filterLimits: FilterLimits;
  /** Whether readdir(3) shows head, tail and `stream`. */
  readonly listsLinks: boolean;
}

/** The default bounds of a queue (docs/design.md, section 3). */
export const QUEUE_LIMITS: QueueLimits = {
  events: 4096,
  bytes: 4 * 1024 * 1024,
  overflow: 'drop-oldest',
};

/** The settings of a tree that is not configured. */
export const DEFAULT_SETTINGS: TreeSettings = {
  queueLimits: QUEUE_LIMITS,
  filterLimits: FILTER_LIMITS,
  listsLinks: false,
};
