/** The numbers of the tree as a whole, for a later daemon. */
import type { IdAllocator } from '../../shared/id-allocator.js';
import type { Log } from '../../bus/log.js';
import type { Entry, Queue } from '../../bus/queue.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import { Kind } from '../../state/schema.js';

/** The parts of the tree that count. */
interface CountingTree {
  readonly bus: {
    readonly log: Log;
    readonly inodes: IdAllocator;
    readonly history: Queue<Entry>;
    /** Writes the bus's part of the record. */
    recordCounters(journal: Journal): void;
  };
  readonly deliveries: { readonly lostByEnded: number };
}

/** The record `counters` of one tree. */
export class TreeCounters implements Recorded {
  isMarked = false;

  constructor(private readonly tree: CountingTree) {}

  /** Writes the record. */
  record(journal: Journal): void {
    const { bus, deliveries } = this.tree;
    const { log, inodes, history } = bus;
    journal
      .begin(Kind.counters)
      .number(inodes.last)
      .number(log.oldest)
      .number(log.next)
      .number(log.end)
      .number(log.weight);
    bus.recordCounters(journal);
    journal
      .number(log.limits.events)
      .number(deliveries.lostByEnded)
      .number(history.entries.first()?.event.number ?? log.next)
      .number(history.lost)
      .end();
  }
}
