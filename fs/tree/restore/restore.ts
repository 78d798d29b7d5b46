/**
 * Makes the tree of the last daemon again, from the records of its state.
 *
 * The order: the log and the bus, the process directories, their entries, the special files, the
 * open files, the deaths. Nothing is refused for a quota: it was there.
 */
import type { Event } from '../../bus/event.js';
import type { Entry, Queue } from '../../bus/queue.js';
import type { Owner } from '../../owners/owners.js';
import type { Pid } from '../../owners/process.js';
import { refused } from '../../state/layout.js';
import { timeOf } from '../../state/times.js';
import type { StateTable } from '../../state/table.js';
import { FileType, TYPE_MASK } from '../nodes/attributes.js';
import type { EventDirectory } from '../nodes/event-directory.js';
import type { NodeId } from '../nodes/node.js';
import { ProcessDirectory } from '../nodes/process-directory.js';
import { OF_DAEMON } from '../nodes/process/directory-record.js';
import { SpecialFile, SymlinkFile } from '../nodes/special-file.js';
import type { Tree } from '../tree.js';
import { restoreDirectory, restoreGhost } from './directories.js';
import { chargeEntries, restoreEntry, restoreFile } from './entries.js';
import { RestoredEvents } from './events.js';
import { restoreHistory } from './history.js';
import { restoreHandles } from './handles.js';
import type { RestoredTree } from './restored-tree.js';

/** The tree that is being restored. */
interface Restoring {
  readonly tree: Tree;
  readonly table: StateTable;
  readonly events: RestoredEvents;
  /** The directories with events, by node id. */
  readonly directories: ReadonlyMap<number, EventDirectory>;
}

/**
 * Fills a tree that is empty.
 * @param tree the tree of the new daemon
 * @param table the records of the last daemon's state
 * @throws UserError if the records contradict each other
 */
export function restoreTree(tree: Tree, table: StateTable): void {
  const counters = table.get('counters');
  if (counters === undefined) return; // the last daemon has not done anything yet
  const { bus } = tree;
  const events = new RestoredEvents(table, bus.log, tree.ledger, tree.recorder!);
  bus.inodes.goOnAfter(counters.lastId);
  const ring = events.ring(counters.oldest, counters.next);
  bus.log.restore(counters, ring);
  bus.restore(counters, ring);
  tree.deliveries.noteEnd(counters.lostByEnded);

  for (const state of table.all('ghost')) restoreGhost(tree, state);
  const owners: Owner[] = [];
  const died = new Set<number>();
  const directories = new Map<number, EventDirectory>([[tree.log.id, tree.log]]);
  for (const state of [...table.all('directory')].sort((a, b) => a.position - b.position)) {
    const owner =
      state.ownerHandle === OF_DAEMON
        ? tree.owners.own()
        : tree.owners.restore(state.ownerPid as Pid, state.ownerHandle);
    owners.push(owner);
    if (owner.pidfd < 0 && state.isOrphaned === 0) died.add(owner.pid);
    directories.set(state.id, restoreDirectory(tree, state, owner));
  }
  const root = table.get('root');
  if (root !== undefined) tree.root.restore(root);
  for (const node of tree.root.always.nodes) tree.rememberAlways(node);
  for (const file of tree.root.always.files) {
    const state = table.get('rootFile', file.id);
    if (state !== undefined) file.restore(state);
  }
  for (const { id, name } of table.all('matchFile'))
    tree.remember(tree.match.restore(id as NodeId, name));
  const restoring = { tree, table, events, directories };
  restoreHistory(tree, counters, events, table);
  for (const directory of directories.values())
    if (directory !== tree.log) restoreQueue(restoring, directory);
  restoreSpecials(restoring);
  restoreHandles(table, openFilesOf(restoring));
  events.finish();
  restoreEndings(tree, table, died.size);
  for (const owner of owners)
    if (owner.pidfd < 0) for (const thing of [...owner.owned]) thing.ownerDied();
}

/** Counts the owners that no daemon has seen die, and those that the last one has not counted. */
function restoreEndings(tree: Tree, table: StateTable, died: number): void {
  const state = table.get('endings');
  const counts = state ?? { exited: 0, signalled: 0, unknown: 0 };
  tree.owners.endings.restore(counts, died + (state?.pending ?? 0));
}

/** Returns the part of the tree that the restoring of open files needs. */
function openFilesOf({ tree, events, directories }: Restoring): RestoredTree {
  return {
    ledger: tree.ledger,
    streams: tree.streams,
    handles: tree.handles,
    node: (id) => tree.known(id as NodeId),
    event: (ino) => events.get(ino),
    directory: (id) => directories.get(id),
    match: () => tree.match,
    adopt: (node) => tree.remember(node),
  };
}

function restoreQueue(restored: Restoring, directory: EventDirectory): void {
  const { tree, table } = restored;
  const queue: Queue<Entry> = directory.queue;
  let newest: Event | null = null;
  for (const { position, ino, name, node } of table.links(directory.id)) {
    const event = restored.events.get(ino);
    if (event.number >= (newest?.number ?? 0)) newest = event;
    if (node === 0) restoreEntry(queue, position, event);
    else restoreFile(tree, directory, position, name === '' ? event.name : name, event, node);
  }
  chargeEntries(queue);
  const state = table.get('queue', directory.id);
  if (state !== undefined) {
    queue.entries.goOnAt(state.nextPosition);
    queue.lost = state.lost;
    queue.losses.restore(state.losses);
    if (state.announcedTo >= 0) tree.inotify.restore(directory, state.announcedTo);
    if (directory instanceof ProcessDirectory) {
      directory.restoreTimes(timeOf(state, 'modified'), timeOf(state, 'changed'));
      if (newest !== null && newest.number >= state.asOf) directory.contentsChanged(newest.time);
    }
  }
}

function restoreSpecials({ tree, table, directories }: Restoring): void {
  for (const state of [...table.all('special')].sort((a, b) => a.position - b.position)) {
    const directory = directories.get(state.directory);
    if (directory === undefined) continue; // it has ended
    const { name, mode, uid, gid, target, position } = state;
    const born = timeOf(state, 'born');
    const id = state.id as NodeId;
    const { lifetime } = directory;
    if ((mode & TYPE_MASK) === FileType.regular) throw refused(`file ${id} has no special type`);
    const file =
      (mode & TYPE_MASK) === FileType.symlink
        ? new SymlinkFile(id, lifetime, name, target, uid, gid, born)
        : new SpecialFile(id, lifetime, name, mode, uid, gid, born);
    file.restore(state);
    directory.specialsToFill().restore(file, position);
    tree.remember(file);
  }
}
