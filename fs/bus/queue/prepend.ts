/** The events that come before all others of a queue, when a user has it begin earlier. */
import { type Holder, heapOf } from '../event.js';
import type { Sequence } from '../sequence.js';
import { ASSERTS } from '../../shared/invariant.js';
import type { Entry, QueueJournal } from './entry.js';
import type { Losses } from './losses.js';
import { checkQueue } from './queue-invariant.js';

/** A queue that takes earlier events. */
interface PrependedQueue<E extends Entry> extends Holder {
  readonly entries: Sequence<E>;
  readonly losses: Losses;
  readonly journal: QueueJournal | null;
  heap: number;
  lost: number;
}

/**
 * Adds entries before all others. If there is no room for all, the oldest of them are lost.
 * @param added oldest first, under names that are free
 * @param lost how many more events are missing before the first entry
 * @returns the entries that were added
 */
export function prependTo<E extends Entry>(
  queue: PrependedQueue<E>,
  added: readonly E[],
  lost: number,
): readonly E[] {
  const { entries, losses, journal } = queue;
  let first = added.length;
  while (first > 0 && takesInFront(queue, added.length - first, added[first - 1])) first--;
  const kept = added.slice(first);
  if (kept.some(({ name, event }) => !event.isUnique || name !== event.name)) entries.index();
  entries.prepend(
    kept.map(({ name }) => name),
    kept,
  );
  const { firstPosition } = entries;
  kept.forEach((entry, at) => journal?.linked(firstPosition + at, entry));
  for (const { event } of added.slice(0, first)) lost += event.weight;
  if (lost === 0) return kept;
  queue.lost += lost;
  if (entries.size > 0) losses.atHead(entries.firstPosition, lost);
  else losses.atEnd(entries, lost);
  journal?.hasChanged();
  if (ASSERTS) checkQueue(queue);
  return kept;
}

/**
 * Links and charges an event if there is room for it.
 * @param events how many more events will come after it
 */
function takesInFront<E extends Entry>(
  queue: PrependedQueue<E>,
  events: number,
  { name, event }: E,
): boolean {
  const heap = heapOf(name, event);
  if (queue.overflows(events + 1, event.length)) return false;
  if (queue.quota !== null && !queue.quota.tryCharge(1, event.length, heap)) return false;
  event.link(queue);
  queue.bytes += event.length;
  queue.heap += heap;
  return true;
}
