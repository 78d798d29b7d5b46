/** Visits everything that a later daemon needs, for a compaction of the journal. */
import type { Event, LogIndex } from '../../bus/event.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import type { EventDirectory } from '../nodes/event-directory.js';
import type { Bus } from '../../bus/bus.js';
import type { RootDirectory } from '../nodes/root-directory.js';
import type { InotifyQueue } from '../inotify/inotify-queue.js';
import { ProcessDirectory } from '../nodes/process-directory.js';
import { WrittenEvent } from '../written/written-event.js';
import { recordText } from '../../state/text-record.js';

/** The tree, as the walk sees it. */
export interface LivingTree {
  readonly bus: Bus;
  readonly root: RootDirectory;
  readonly log: EventDirectory;
  readonly counters: Recorded;
  readonly inotify: InotifyQueue;
  /**
   * Returns the open files and all that they record.
   * @param recorded the events that the walk has recorded
   */
  livingOpenFiles(recorded: Set<Event>): Iterable<Recorded>;
}

/** Something that is recorded only by a compaction. */
function once(record: (journal: Journal) => void): Recorded {
  return { isMarked: false, record };
}

/**
 * Yields all things of a tree. Others may change between two steps, and are recorded again then.
 */
export function* living(tree: LivingTree): Iterable<Recorded> {
  const { bus, root, log } = tree;
  const recorded = new Set<Event>();
  yield tree.counters;
  yield root;
  yield* root.files;
  for (let number = bus.log.oldest; number < bus.log.next; number = next(tree, number)) {
    const event = bus.log.at(number);
    yield once((journal) => bus.record(event, journal));
  }
  yield queueOf(log, tree, recorded);
  for (let at = root.directories.seek(0); at >= 0; at = root.directories.seek(at + 1)) {
    const directory = root.directories.at(at)!;
    yield directory;
    yield queueOf(directory, tree, recorded);
    for (const file of directory.specials?.entries ?? []) yield file;
  }
  for (const ghost of tree.inotify.ghosts)
    if (ghost instanceof ProcessDirectory) yield once((journal) => ghost.recordGhost(journal));
  yield* tree.livingOpenFiles(recorded);
}

/** Returns the number after `number`, or the oldest one in the ring if that is later. */
function next(tree: LivingTree, number: LogIndex): LogIndex {
  return Math.max(number + 1, tree.bus.log.oldest) as LogIndex;
}

/** The queue of a directory, with its entries and those events that the ring does not have. */
function queueOf(directory: EventDirectory, tree: LivingTree, recorded: Set<Event>): Recorded {
  return once((journal) => {
    directory.queueRecord!.record(journal);
    directory.queueRecord!.recordEntries();
    for (const { event } of directory.queue.entries) recordHeld(event, tree, journal, recorded);
  });
}

/** An event that an open file holds. */
export function heldEvent(event: Event, tree: LivingTree, recorded: Set<Event>): Recorded {
  return once((journal) => recordHeld(event, tree, journal, recorded));
}

/**
 * Writes the records of an event that the ring does not have, once.
 * @param recorded the events that this walk has recorded
 */
function recordHeld(event: Event, tree: LivingTree, journal: Journal, recorded: Set<Event>): void {
  if (event.inRing || recorded.has(event)) return;
  recorded.add(event);
  if (event instanceof WrittenEvent) {
    event.recordText(journal);
    event.record(journal);
    return;
  }
  tree.bus.record(event, journal);
  recordText(journal, event);
}
