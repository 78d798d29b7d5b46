/** The few things of the tree that a node may ask for. */
import type { Bus } from '../bus/bus.js';
import type { QueueLimits } from '../bus/queue.js';
import type { FilterLimits } from '../uevent/filter/filter.js';
import type { Deliveries } from './deliveries.js';
import type { DrainCheck } from './drain-check.js';
import type { InotifyQueue } from './inotify-queue.js';
import type { Node, NodeId } from './nodes/node.js';
import type { ReplyPort } from './ports.js';
import type { QuotaLedger } from './quota.js';
import type { Streams } from './streams/streams.js';
import type { Turns } from './turns.js';
import type { Logger } from '../shared/logger.js';

/** What the configuration says of the tree. It can change while the mount is there. */
export interface TreeSettings {
  /** What each queue may hold. */
  readonly queueLimits: QueueLimits;
  /** How large a filter may be that comes from now on. */
  readonly filterLimits: FilterLimits;
  /** Whether readdir(3) shows head, tail and `stream`. */
  readonly listsLinks: boolean;
}

export interface TreeContext {
  readonly settings: TreeSettings;
  /** Where events come from, with the log and the history. */
  readonly bus: Bus;
  readonly deliveries: Deliveries;
  readonly streams: Streams;
  /** Who holds how much of the mount. */
  readonly ledger: QuotaLedger;
  readonly inotify: InotifyQueue;
  /** Frees what has ended. */
  readonly turns: Turns;
  readonly drainCheck: DrainCheck;
  /** The driver, where blocked reads are answered. */
  readonly port: ReplyPort;
  /** A number for a new node. */
  newNodeId(): NodeId;
  /** A number for a new event's inode. */
  newInode(): number;
  /** A node has ended, and the table of nodes lets go of it. */
  disown(node: Node): void;
  /** Says what no system call can be told of. */
  readonly logger: Logger;
}
