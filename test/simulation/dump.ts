/**
 * A complete text of a tree: all that clients can observe, and all that the state holds of it,
 * which includes the open files and the cursors. A restored tree must have the text of the tree
 * before the crash.
 */
import { Journal } from '../../fs/state/journal.js';
import { StateLayout, type StateMemory, heapMemory } from '../../fs/state/layout.js';
import { type KindName, SCHEMA } from '../../fs/state/schema.js';
import { StateTable } from '../../fs/state/table.js';
import { Attributes } from '../../fs/tree/nodes/attributes.js';
import type { EventDirectory } from '../../fs/tree/nodes/event-directory.js';
import type { Node } from '../../fs/tree/nodes/node.js';
import type { ProcessDirectory } from '../../fs/tree/nodes/process-directory.js';
import { WrittenEvent } from '../../fs/tree/written/written-event.js';
import type { Tree } from '../../fs/tree/tree.js';
import { living } from '../../fs/tree/restore/living.js';

const SIZES = { ring: 4096, mailbox: 4096, half: 16 * 1024 * 1024 };
/** The memory of the records; it is made at the first dump. */
let memory: StateMemory | null = null;
/** Kinds that a running daemon records at other moments than a restored one. */
const LEFT_OUT: readonly KindName[] = ['reply', 'source', 'text', 'event'];

function showAttributes(node: Node): string {
  const to = new Attributes();
  node.attributes(to);
  return JSON.stringify(to);
}

function showWritten({ mode, uid, gid, accessed, time, changed }: WrittenEvent): string {
  return JSON.stringify({ mode, uid, gid, accessed, time, changed });
}

function* linesOf(directory: EventDirectory): Iterable<string> {
  const { name, queue } = directory;
  yield `${name} ${showAttributes(directory)} lost=${queue.lost} losses=${queue.losses.toText()} untold=${queue.losses.untold} bytes=${queue.bytes} heap=${queue.heap} incomplete=${queue.incomplete} added=${queue.entries.added}`;
  const { entries } = queue;
  for (let at = entries.seek(0); at >= 0; at = entries.seek(at + 1)) {
    const entry = entries.at(at)!;
    const { event } = entry;
    const shown = event instanceof WrittenEvent ? showWritten(event) : '';
    yield `${name}/${entry.name} at=${at} ino=${event.ino} links=${event.links} opens=${event.opens} source=${event.source} weight=${event.weight} ${JSON.stringify(event.text)} ${shown}`;
    event.dropCaches();
  }
  for (const file of directory.specials?.entries ?? [])
    yield `${name}/${file.name} ${showAttributes(file)}`;
}

function* observable(tree: Tree): Iterable<string> {
  const { root, log, bus, ledger } = tree;
  yield `/ ${showAttributes(root)}`;
  for (const node of root.always.nodes) yield `fixed ${showAttributes(node)}`;
  yield* linesOf(log);
  for (const directory of root.directories) {
    yield* linesOf(directory);
    yield statusOf(directory);
  }
  yield `bus ${JSON.stringify(bus.counted)} log=${bus.log.oldest}..${bus.log.next}`;
  const { directories, streams, events, bytes } = ledger.mount;
  yield `held ${JSON.stringify({ directories, streams, events, bytes })}`;
}

function statusOf(directory: ProcessDirectory): string {
  return directory
    .statusLines()
    .filter(([key]) => key !== 'WAITING')
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

/** Returns the records of all that lives, by kind and key. */
function* records(tree: Tree): Iterable<string> {
  memory ??= heapMemory(StateLayout.bytes(SIZES));
  const journal = Journal.create(memory, SIZES);
  for (const thing of living(tree)) thing.record(journal);
  journal.commit();
  const table = new StateTable(journal.layout);
  for (const kind of Object.keys(SCHEMA) as KindName[]) {
    if (LEFT_OUT.includes(kind)) continue;
    const lines = [...everyOf(table, kind)].map((fields) => `${kind} ${JSON.stringify(fields)}`);
    yield* lines.sort();
  }
}

function* everyOf(table: StateTable, kind: KindName): Iterable<unknown> {
  const { keys } = SCHEMA[kind];
  if (keys === 0) yield table.get(kind);
  else if (keys === 1) yield* table.all(kind);
}

/** Returns the text of a tree whose daemon records its state. */
export function dumpTree(tree: Tree): string {
  return [...observable(tree), ...records(tree)].join('\n');
}

/** Returns the first line in which two dumps differ, or null. */
export function differenceOf(before: string, after: string): string | null {
  const [a, b] = [before.split('\n'), after.split('\n')];
  const at = a.findIndex((line, n) => line !== b[n]);
  if (at < 0 && a.length === b.length) return null;
  return `${b[Math.max(at, 0)]}\ninstead of\n${a[Math.max(at, 0)]}`;
}

/** Returns the same text; null if open files of ended directories would differ after a restart. */
export function dumpExact(tree: Tree): string | null {
  for (const handle of tree.handles) if (handle.node.lifetime.over) return null;
  return dumpTree(tree);
}
