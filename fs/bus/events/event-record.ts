/** Writes events to the journal of the state, and reads them. */
import type { Journal } from '../../state/journal.js';
import { Kind } from '../../state/schema.js';
import type { Event } from '../event.js';

/**
 * Writes the record of a delivered event.
 * @param seqnumBefore the kernel's last SEQNUM before it
 * @param weightBefore the weight of all events before it
 * @param checksum of its text in the ring; 0 if the text is not there
 */
export function recordEvent(
  journal: Journal,
  event: Event,
  seqnumBefore: number,
  weightBefore: number,
  checksum: number,
): void {
  journal
    .begin(Kind.event)
    .number(event.ino)
    .number(event.number)
    .text(event.name)
    .number(event.start)
    .number(event.length)
    .number(event.time.sec)
    .number(event.time.nsec)
    .number(event.weight)
    .number(event.always ? 1 : 0)
    .number(event.isUnique ? 1 : 0)
    .number(event.sourceId)
    .number(seqnumBefore)
    .number(weightBefore)
    .number(checksum)
    .end();
}
