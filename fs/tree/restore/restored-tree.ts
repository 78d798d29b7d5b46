/** The tree that is being restored, as the restoring of open files sees it. */
import type { Event } from '../../bus/event.js';
import type { EventDirectory } from '../nodes/event-directory.js';
import type { MatchDirectory } from '../nodes/match-directory.js';
import type { Node } from '../nodes/node.js';
import type { HandleTable } from '../handle-table.js';
import type { QuotaLedger } from '../quota/ledger.js';
import type { Streams } from '../streams/streams.js';

/** The parts of a tree whose directories and events are restored already. */
export interface RestoredTree {
  readonly ledger: QuotaLedger;
  readonly streams: Streams;
  readonly handles: HandleTable;
  /** Returns a node that is restored, or undefined. */
  node(id: number): Node | undefined;
  /** Returns an event that is restored, by inode number, or undefined. */
  event(ino: number): Event | undefined;
  /** Returns `log/` or a process directory, or undefined if it has ended. */
  directory(id: number): EventDirectory | undefined;
  /** Returns `match/`. */
  match(): MatchDirectory;
  /** Enters a node that only an open file refers to, so that `node` finds it. */
  adopt(node: Node): void;
}
