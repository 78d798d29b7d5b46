/** Restores the streams of the last daemon, and the groups of those that have the same filter. */
import type { Fields } from '../../state/schema.js';
import type { StateTable } from '../../state/table.js';
import { Filter } from '../../uevent/filter/filter.js';
import { EVERYTHING } from '../filter-charge.js';
import type { Node, NodeId } from '../nodes/node.js';
import type { QuotaAccount } from '../quota/account.js';
import { type StreamGroup, StreamHandle } from '../streams/stream-handle.js';
import type { Streams } from '../streams/streams.js';
import type { RestoredTree } from './restored-tree.js';

/**
 * Restores the groups: matches the events of the ring again.
 * @returns the groups by their numbers in the state
 */
export function restoreGroups(table: StateTable, streams: Streams): Map<number, StreamGroup> {
  const counts = table.get('streams');
  if (counts !== undefined) streams.restoreCounts(counts);
  const groups = new Map<number, StreamGroup>();
  for (const record of table.all('group')) {
    const filter = record.filter === '' ? EVERYTHING : Filter.parse(record.filter);
    groups.set(record.id, streams.restoreGroup(filter, record));
  }
  return groups;
}

/**
 * Restores an open stream without its place.
 * @param numbers the numbers of its record
 */
export function restoreStream(
  tree: RestoredTree,
  record: Fields<'handle'>,
  numbers: readonly number[],
  account: QuotaAccount,
  groups: ReadonlyMap<number, StreamGroup>,
): StreamHandle | undefined {
  const [groupId, openerPid, id, begin] = numbers;
  const group = groups.get(groupId);
  const node = streamNode(tree, record);
  if (group === undefined || node === undefined) return undefined;
  const { streams } = tree;
  const handle = new StreamHandle(node, group, streams, openerPid, id, account, begin);
  streams.restoreStream(handle);
  return handle;
}

/** Returns the file `stream`, or a file of `match/`, made if it is not known. */
function streamNode(tree: RestoredTree, record: Fields<'handle'>): Node | undefined {
  const known = tree.node(record.node);
  if (known !== undefined || record.directory === 0) return known;
  const file = tree.match().restore(record.node as NodeId, record.name);
  tree.adopt(file);
  return file;
}
