/**
 * Records the queue of `log/`. Each event comes there, and only the daemon takes events away, the
 * oldest first: so the record `counters` has all of the queue but the files that were looked up.
 */
import type { Entry } from '../../bus/queue.js';
import { QueueRecord, nodeOf } from './queue-record.js';

/** The record of the queue of `log/`, and of its files. */
export class HistoryRecord extends QueueRecord {
  /** Records an entry that was looked up: the kernel knows its node. */
  override linked(position: number, entry: Entry): void {
    if (nodeOf(entry) !== 0) super.linked(position, entry);
  }

  override unlinked(): void {}

  override hasChanged(): void {}
}
