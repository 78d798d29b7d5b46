/** Tells where an event comes from, as far as a reader of a stream can know it. */
import { type EventText, tellsOfLoss } from './text.js';

/** A key that udevd adds to each event that it passes on. */
const UDEV_KEY = 'USEC_INITIALIZED';

/**
 * Returns the origin of an event: `kernel`, `udev`, `publish` or `eventfs` (an overflow record).
 *
 * The keys decide: the kernel and udevd number their events, and publishers usually do not. A
 * publisher can imitate both.
 */
export function sourceOf(event: EventText): string {
  if (tellsOfLoss(event)) return 'eventfs';
  if (event.property('SEQNUM') === undefined) return 'publish';
  return event.property(UDEV_KEY) === undefined ? 'kernel' : 'udev';
}
