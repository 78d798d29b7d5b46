/** Visits everything that a later daemon needs, for a compaction of the journal. */
import type { Event, LogIndex } from '../../bus/event.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import type { EventDirectory } from '../nodes/event-directory.js';
import { EventHandle } from '../nodes/event-file.js';
import type { Handle } from '../nodes/node.js';
import type { Bus } from '../../bus/bus.js';
import type { RootDirectory } from '../nodes/root-directory.js';
import type { InotifyQueue } from '../inotify/inotify-queue.js';
import { ProcessDirectory } from '../nodes/process-directory.js';
import type { Streams } from '../streams/streams.js';
import { WrittenEvent } from '../written/written-event.js';
import { recordText } from '../../state/text-record.js';

/** The tree, as the walk sees it. */
export interface LivingTree {
  readonly bus: Bus;
  readonly root: RootDirectory;
  readonly log: EventDirectory;
  readonly match: { readonly files: Iterable<Recorded> };
  readonly counters: Recorded;
  readonly inotify: InotifyQueue;
  readonly streams: Streams;
  readonly handles: Iterable<Handle>;
}

/** Returns an object that only a compaction records. */
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
  yield* root.always.files;
  yield* tree.match.files;
  for (let number = bus.log.oldest; number < bus.log.next; number = next(tree, number)) {
    const event = bus.log.at(number);
    yield once((journal) => bus.record(event, journal));
  }
  yield* queueOf(log, tree, recorded);
  for (let at = root.directories.seek(0); at >= 0; at = root.directories.seek(at + 1)) {
    const directory = root.directories.at(at)!;
    yield directory;
    yield* queueOf(directory, tree, recorded);
    for (const file of directory.specials?.entries ?? []) yield file;
  }
  for (const ghost of tree.inotify.ghosts)
    if (ghost instanceof ProcessDirectory) yield once((journal) => ghost.recordGhost(journal));
  yield* openFiles(tree, recorded);
}

/** Returns the number after `number`, or the oldest one in the ring if that is later. */
function next(tree: LivingTree, number: LogIndex): LogIndex {
  return Math.max(number + 1, tree.bus.log.oldest) as LogIndex;
}

/**
 * Yields the record of a directory's queue, then one record for each entry, with its event if the
 * ring does not have it. A queue may have thousands of entries, so the compaction may pause between
 * two of them.
 */
function* queueOf(
  directory: EventDirectory,
  tree: LivingTree,
  recorded: Set<Event>,
): Iterable<Recorded> {
  const { queue } = directory;
  const { entries } = queue;
  const record = directory.queueRecord!;
  yield record;
  for (let at = entries.seek(0); at >= 0; at = entries.seek(at + 1)) {
    if (queue.journal !== record) return; // the directory has ended
    const entry = entries.at(at)!;
    yield once((journal) => {
      record.linked(at, entry);
      recordHeld(entry.event, tree, journal, recorded);
    });
  }
}

/** Yields the open files and all that they record. */
function* openFiles(tree: LivingTree, recorded: Set<Event>): Iterable<Recorded> {
  yield* tree.streams.recorded();
  for (const handle of tree.handles) {
    yield handle;
    if (!(handle instanceof EventHandle)) continue;
    const { event } = handle.node;
    yield once((journal) => recordHeld(event, tree, journal, recorded));
  }
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
