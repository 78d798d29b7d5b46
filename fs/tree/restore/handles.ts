/**
 * Restores the open files of the last daemon from its records.
 *
 * A record names the type of the open file and its node. A node that no entry has any more, such as
 * the file of an event that has left its queue, is made again. An open file of a directory that has
 * ended becomes an `EndedHandle`: each request for it fails with ESTALE until it is closed.
 */
import type { StateTable } from '../../state/table.js';
import type { Fields } from '../../state/schema.js';
import { Directory } from '../nodes/directory.js';
import { EventFile, EventHandle } from '../nodes/event-file.js';
import { FilterFile } from '../nodes/fixed/filter-file.js';
import { FilterHandle } from '../nodes/fixed/filter-handle.js';
import { MetricsFile } from '../nodes/fixed/metrics-file.js';
import { SinceFile, SinceHandle } from '../nodes/fixed/since-file.js';
import { StatusFile, TextHandle } from '../nodes/fixed/text-file.js';
import { LogDirectory } from '../nodes/log-directory.js';
import type { FileHandle, Handle, Node, NodeId } from '../nodes/node.js';
import { DirectoryHandle } from '../nodes/open-file/directory-handle.js';
import { EndedHandle } from '../nodes/open-file/ended-handle.js';
import { PublishHandle } from '../nodes/open-file/publish-handle.js';
import { ProcessDirectory } from '../nodes/process-directory.js';
import { PublishFile } from '../nodes/publish-file.js';
import { QUEUE_STREAM_PRICE } from '../prices.js';
import type { QuotaAccount } from '../quota/account.js';
import { forceChargeAll } from '../quota/force-charge.js';
import { QueueStreamFile, QueueStreamHandle } from '../streams/queue-stream.js';
import type { StreamGroup } from '../streams/stream-handle.js';
import type { RestoredTree } from './restored-tree.js';
import { restoreGroups, restoreStream } from './streams.js';

type HandleRecord = Fields<'handle'>;

/**
 * Restores all open files, with what they are charged for. It refuses none, whatever the quotas.
 * @param tree its directories and events are restored already
 */
export function restoreHandles(table: StateTable, tree: RestoredTree): void {
  const groups = restoreGroups(table, tree.streams);
  const places = new EventPlaces(table);
  for (const record of table.all('handle')) {
    const account = tree.ledger.account(record.uid, record.gid);
    const handle = open(tree, record, account, groups, places) ?? ended(record, account);
    handle.pollKeyLow = record.pollKeyLow;
    handle.pollKeyHigh = record.pollKeyHigh;
    tree.handles.restore(record.fh as FileHandle, handle, account, record.heap);
    const place = table.get('cursor', record.fh);
    if (place !== undefined) handle.restorePlace(place);
    const uring = table.get('uring', record.fh);
    if (uring !== undefined) handle.restoreUring(uring.threads);
  }
  tree.handles.restored();
}

/** Makes the open file of a record whose directory has ended. */
function ended({ node, type, numbers }: HandleRecord, account: QuotaAccount): EndedHandle {
  const isStream = type === 'queue' || (type === 'ended' && numbers === '1');
  if (isStream) forceChargeAll(account, QUEUE_STREAM_PRICE);
  return new EndedHandle(node as NodeId, isStream ? account : null);
}

/** Makes the open file of a record; undefined if its directory has ended. */
function open(
  tree: RestoredTree,
  record: HandleRecord,
  account: QuotaAccount,
  groups: ReadonlyMap<number, StreamGroup>,
  places: EventPlaces,
): Handle | undefined {
  const numbers = record.numbers.split(' ').map(Number);
  const { bytes } = record;
  switch (record.type) {
    case 'directory': {
      const node = tree.node(record.node);
      return node instanceof Directory ? new DirectoryHandle(node, numbers[0]) : undefined;
    }
    case 'event': {
      const file = eventFile(tree, record, places);
      if (file === undefined) return undefined;
      file.moves = Math.max(file.moves, movesOf(record));
      return new EventHandle(file, numbers[1] === 1);
    }
    case 'publish': {
      const node = tree.node(record.node);
      return node instanceof PublishFile ? PublishHandle.restore(node, numbers, bytes) : undefined;
    }
    case 'stream':
      return restoreStream(tree, record, numbers, account, groups);
    case 'queue': {
      const node = fixture(tree, record, QueueStreamFile);
      return node && QueueStreamHandle.restore(node, account);
    }
    case 'filter': {
      const node = fixture(tree, record, FilterFile);
      return node && FilterHandle.restore(node, numbers, bytes);
    }
    case 'since': {
      const node = fixture(tree, record, SinceFile);
      return node && new SinceHandle(node);
    }
    case 'text': {
      const node = report(tree, record);
      return node && TextHandle.restore(node, bytes, account);
    }
    default:
      return undefined;
  }
}

/** The records of open files that have the places of their nodes, by node id. */
class EventPlaces {
  #records: Map<number, HandleRecord> | null = null;

  constructor(private readonly table: StateTable) {}

  /** Returns the record of the same node after its last move: others were not recorded then. */
  latest(record: HandleRecord): HandleRecord {
    return (this.#records ??= this.#find()).get(record.node) ?? record;
  }

  #find(): Map<number, HandleRecord> {
    const records = new Map<number, HandleRecord>();
    for (const record of this.table.all('handle')) {
      if (record.type !== 'event') continue;
      const other = records.get(record.node);
      if (other === undefined || movesOf(record) > movesOf(other)) records.set(record.node, record);
    }
    return records;
  }
}

/** Returns how often the event's file had moved when the record was written. */
function movesOf({ numbers }: HandleRecord): number {
  return Number(numbers.split(' ')[2] ?? 0);
}

/** Returns the file of an event; makes it if the event has left its queue. */
function eventFile(
  tree: RestoredTree,
  record: HandleRecord,
  places: EventPlaces,
): EventFile | undefined {
  const known = tree.node(record.node);
  if (known !== undefined) return known instanceof EventFile ? known : undefined;
  const { directory: id, name, numbers } = places.latest(record);
  const directory = tree.directory(id);
  if (directory === undefined) return undefined; // no directory: its queue has ended with its owner
  const event = tree.event(Number(numbers.split(' ')[0]));
  if (event === undefined) return undefined;
  const file = new EventFile(record.node as NodeId, directory, name, event);
  file.dropped();
  tree.adopt(file);
  return file;
}

/** Returns the file of a fixed name in a process directory; makes it if it is not known. */
function fixture<F extends Node>(
  tree: RestoredTree,
  { node, directory, name }: HandleRecord,
  type: new (id: NodeId, directory: ProcessDirectory, name: string) => F,
): F | undefined {
  const known = tree.node(node);
  if (known !== undefined) return known instanceof type ? known : undefined;
  const host = tree.directory(directory);
  if (!(host instanceof ProcessDirectory)) return undefined;
  const file = host.lookup(name);
  if (!(file instanceof type)) return undefined;
  tree.adopt(file);
  return file;
}

/** Returns the file `.status` or `.metrics`; makes it if it is not known. */
function report(tree: RestoredTree, { node, directory, name }: HandleRecord): Node | undefined {
  const known = tree.node(node);
  if (known !== undefined) return known;
  const host = tree.directory(directory);
  let file: Node;
  if (name === '.status' && (host instanceof ProcessDirectory || host instanceof LogDirectory))
    file = new StatusFile(node as NodeId, host, name);
  else if (host instanceof LogDirectory) file = new MetricsFile(node as NodeId, host, name);
  else return undefined;
  tree.adopt(file);
  return file;
}
