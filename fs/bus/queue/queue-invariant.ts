/** The invariant of a queue. */
import { type Event, heapOf } from '../event.js';
import type { Losses } from './losses.js';
import { broken } from '../../shared/invariant.js';

/** The most entries of a queue that is checked after each operation. */
const FEW = 64;
/** The operations on larger queues between two checks, for each entry of the queue. */
const PAUSE = 1 / 16;

/** The operations on larger queues since the last check of one. */
let unchecked = 0;

/** The sums and counts that a queue keeps. */
interface Sums {
  readonly entries: Iterable<{ readonly name: string; readonly event: Event }> & {
    readonly size: number;
  };
  readonly bytes: number;
  readonly heap: number;
  readonly incomplete: number;
  readonly lost: number;
  readonly losses: Losses;
}

/**
 * Checks the sums and counts of a queue against its entries:
 *
 *   bytes      = the sum of event.length
 *   heap       = the sum of heapOf(name, event)
 *   incomplete = how many events are not complete
 *   0         <= losses.untold <= lost
 * @param queue the queue, between two operations
 * @throws InvariantError if one of them does not hold
 */
export function checkQueue({ entries, bytes, heap, incomplete, lost, losses }: Sums): void {
  const { size } = entries;
  if (losses.untold < 0 || losses.untold > lost)
    broken(`a queue has lost ${lost} events, and ${losses.untold} of them are untold`);
  if (size > FEW) {
    if (++unchecked < size * PAUSE) return;
    unchecked = 0;
  }
  let [bytesLeft, heapLeft, incompleteLeft] = [bytes, heap, incomplete];
  for (const { name, event } of entries) {
    bytesLeft -= event.length;
    heapLeft -= heapOf(name, event);
    if (!event.complete) incompleteLeft--;
  }
  if (bytesLeft !== 0) broken(`a queue counts ${bytesLeft} bytes that no entry has`);
  if (heapLeft !== 0) broken(`a queue counts ${heapLeft} bytes of heap that no entry has`);
  if (incompleteLeft !== 0)
    broken(`a queue counts ${incompleteLeft} incomplete events that no entry has`);
}
