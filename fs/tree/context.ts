/** The interface through which a node uses the tree: a node gets this, not the whole `Tree`. */
import type { Bus } from '../bus/bus.js';
import type { Deliveries } from './deliveries.js';
import type { DrainCheck } from './drain-check.js';
import type { InotifyQueue } from './inotify/inotify-queue.js';
import type { Node, NodeId } from './nodes/node.js';
import type { ReplyPort } from './ports.js';
import type { QuotaLedger } from './quota/ledger.js';
import type { TreeSettings } from './settings.js';
import type { Streams } from './streams/streams.js';
import type { Recorder } from '../state/recorder.js';
import type { Turns } from './turns.js';
import type { Logger } from '../shared/log/logger.js';

/** The tree as a node sees it. */
export interface TreeContext {
  readonly settings: TreeSettings;
  /** The source of all events, with the log and the history. */
  readonly bus: Bus;
  readonly deliveries: Deliveries;
  readonly streams: Streams;
  /** The accounts of all users, of all groups and of the mount. */
  readonly ledger: QuotaLedger;
  readonly inotify: InotifyQueue;
  /** Frees the memory of ended directories, in short turns. */
  readonly turns: Turns;
  readonly drainCheck: DrainCheck;
  /** Records the changes for a later daemon; null without a guardian. */
  readonly recorder: Recorder | null;
  /** The driver's port, through which the tree answers blocked reads. */
  readonly port: ReplyPort;
  /** @returns an unused node id */
  newNodeId(): NodeId;
  /**
   * @returns an unused node id for a new directory of events; the numbers that follow it are
   * reserved for the names that are always in the directory
   */
  newDirectoryId(): NodeId;
  /** @returns an unused inode number for a new event */
  newInode(): number;
  /** Removes an ended node from the table of nodes. */
  disown(node: Node): void;
  /** Reports errors and warnings that no system call's errno can carry. */
  readonly logger: Logger;
}
