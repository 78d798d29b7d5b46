/** Puts the entries of the last daemon back into its queues. */
import { heapOf } from '../../bus/event.js';
import type { Entry, Queue } from '../../bus/queue.js';

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
