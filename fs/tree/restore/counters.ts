/** The numbers of the tree as a whole, for a later daemon. */
import type { IdAllocator } from '../../shared/id-allocator.js';
import type { Log } from '../../bus/log.js';
import type { BusCounters } from '../../bus/bus.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import type { RootCounters } from '../nodes/root-directory.js';

/** The parts of the tree that count. */
export interface CountingTree {
  readonly bus: {
    readonly log: Log;
    readonly inodes: IdAllocator;
    readonly counters: BusCounters;
  };
  readonly root: { readonly counters: RootCounters };
  readonly deliveries: { readonly lostByEnded: number };
}

/** The record `counters` of one tree. */
export class TreeCounters implements Recorded {
  isMarked = false;

  constructor(private readonly tree: CountingTree) {}

  /** Writes the record. */
  record(journal: Journal): void {
    const { bus, root, deliveries } = this.tree;
    const { log, inodes } = bus;
    journal.put('counters', {
      lastId: inodes.last,
      oldest: log.oldest,
      next: log.next,
      ringEnd: log.end,
      weight: log.weight,
      ringEvents: log.limits.events,
      ...bus.counters,
      ...root.counters,
      lostByEnded: deliveries.lostByEnded,
    });
  }
}
