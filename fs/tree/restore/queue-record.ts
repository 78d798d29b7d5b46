/** Records the queue of one directory for a later daemon. */
import type { Timestamp } from '../../shared/timestamp.js';
import type { Entry, Queue, QueueJournal } from '../../bus/queue.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded, Recorder } from '../../state/recorder.js';
import { Kind } from '../../state/schema.js';

/** An entry that is the node of a file: the kernel knows it by its id. */
interface FileEntry extends Entry {
  readonly id: number;
}

/** The directory of a queue. */
interface RecordedHost {
  /** The state of its watches; null if no process may watch it. */
  readonly watch: { readonly announcedTo: number } | null;
  readonly modified: Timestamp;
  readonly statusChanged: Timestamp;
  /** The number of the next event of the log. */
  readonly nextEvent: number;
}

/** Returns the node id of an entry's file; 0 if it has none. */
export function nodeOf(entry: Entry): number {
  return 'id' in entry ? (entry as FileEntry).id : 0;
}

/** The record of one queue, and those of its entries. */
export class QueueRecord implements QueueJournal, Recorded {
  isMarked = false;

  /**
   * @param directory the node id of the queue's directory
   * @param queue the queue
   * @param host the directory
   */
  constructor(
    private readonly recorder: Recorder,
    private readonly directory: number,
    private readonly queue: Queue<Entry>,
    private readonly host: RecordedHost,
  ) {}

  /** Notes that an entry was added, or that its name or node has changed. */
  linked(position: number, entry: Entry): void {
    const { event, name } = entry;
    this.recorder.linked(
      this.directory,
      position,
      event.ino,
      name === event.name ? '' : name,
      nodeOf(entry),
    );
  }

  /** Notes that the entry at a position has left the queue. */
  unlinked(position: number): void {
    this.recorder.unlinked(this.directory, position);
    // Otherwise the remaining entries would not show the next position.
    if (position + 1 === this.queue.entries.nextPosition) this.recorder.changed(this);
  }

  /** Notes that the losses or the directory's times have changed. */
  hasChanged(): void {
    this.recorder.changed(this);
  }

  /** Notes that the set of events that watchers know of has changed. */
  watchersChanged(): void {
    this.recorder.changed(this);
  }

  /** Writes the losses, and the position of the next entry. */
  record(journal: Journal): void {
    const { queue, host } = this;
    if (queue.journal !== this) return; // the directory has ended
    journal
      .begin(Kind.queue)
      .number(this.directory)
      .number(queue.entries.nextPosition)
      .number(queue.lost)
      .text(queue.losses.toText())
      .number(host.watch?.announcedTo ?? -1)
      .number(host.modified.sec)
      .number(host.modified.nsec)
      .number(host.statusChanged.sec)
      .number(host.statusChanged.nsec)
      .number(host.nextEvent)
      .end();
  }
}
