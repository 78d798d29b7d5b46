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
  /** An entry was added, or its name has changed. */
  linked(position: number, entry: Entry): void;
  /** The entry at a position has left the queue. */
  unlinked(position: number): void;
  /** The losses or the directory's times have changed. */
  hasChanged(): void;
  /** The events that the watchers know of have changed. */
  watchersChanged(): void;
}
