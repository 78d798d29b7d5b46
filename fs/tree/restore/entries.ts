/** Puts the entries of the last daemon back into its queues. */
import { type Event, heapOf } from '../../bus/event.js';
import type { Entry, Queue } from '../../bus/queue.js';
import type { EventDirectory } from '../nodes/event-directory.js';
import { EventFile } from '../nodes/event-file.js';
import type { NodeId } from '../nodes/node.js';
import type { Tree } from '../tree.js';

/**
 * Adds an entry. `chargeEntries` charges for it.
 * @param position the position that it had; higher than that of all other entries
 */
export function restoreEntry(queue: Queue<Entry>, position: number, entry: Entry): void {
  const { event, name } = entry;
  const heap = heapOf(name, event);
  if (!event.isUnique || name !== event.name) queue.entries.index();
  queue.entries.restore(position, name, entry);
  event.link(queue);
  queue.bytes += event.length;
  queue.heap += heap;
}

/** Charges for all entries of a queue that was empty, even beyond a quota. */
export function chargeEntries({ quota, entries, bytes, heap }: Queue<Entry>): void {
  quota?.forceCharge(entries.size, bytes, heap);
}

/**
 * Adds an entry that was looked up, as in `restoreEntry`.
 * @param position the position that it had
 * @param name its name in the directory
 * @param node the id of its node
 */
export function restoreFile(
  tree: Tree,
  directory: EventDirectory,
  position: number,
  name: string,
  event: Event,
  node: number,
): void {
  const file = new EventFile(node as NodeId, directory, name, event);
  file.position = position;
  restoreEntry(directory.queue, position, file);
  tree.remember(file);
}
