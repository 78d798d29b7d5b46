/** The entries of queues, and how a queue tells of their changes. */
import type { Event } from '../event.js';

/** One entry of a queue: a name for an event. */
export interface Entry {
  readonly name: string;
  readonly event: Event;
  /** Called after the queue has dropped the entry on its own, without unlink(2) by a process. */
  dropped?(): void;
}

/** Records the changes of one queue for a later daemon. */
export interface QueueJournal {
  /** Called when an entry was added, or its name has changed. */
  linked(position: number, entry: Entry): void;
  /** Called when the entry at a position has left the queue. */
  unlinked(position: number): void;
  /** Called when the losses or the directory's times have changed. */
  hasChanged(): void;
  /**
   * Called when the set of events that watchers know of has changed, or the directory is asked for.
   */
  watchersChanged(): void;
}
