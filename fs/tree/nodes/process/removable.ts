/** Whether rmdir(2) may remove a process directory. */
import type { Entry } from '../../../bus/queue.js';
import type { Sequence } from '../../../bus/sequence.js';
import { WrittenEvent } from '../../written/written-event.js';

/**
 * Returns whether a directory is empty, or holds only delivered events that came after its last
 * listing.
 * @param listedTo the position before which all entries were listed; -1 if there was no listing
 */
export function isRemovable(entries: Sequence<Entry>, listedTo: number): boolean {
  if (entries.size === 0) return true;
  if (listedTo < 0 || entries.seek(0) < listedTo) return false;
  for (const entry of entries) if (entry.event instanceof WrittenEvent) return false;
  return true;
}
