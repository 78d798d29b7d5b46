/** Puts the entries of the last daemon back into its queues. */
import { heapOf } from '../../bus/event.js';
import type { Entry, Queue } from '../../bus/queue.js';

/**
 * Adds an entry, and charges it even beyond a quota.
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
  queue.quota?.forceCharge(1, event.length, heap);
}
