/** An event as `eventfs watch` shows it: the text, and the facts that the text lacks. */
import type { EventClock, EventTime } from '../../../client/events/clock.js';
import type { EventSources } from '../../../client/events/sources.js';
import { type EventText, lostOf, tellsOfLoss } from '../../../client/events/text.js';

/** One event of a stream. */
export interface WatchedEvent {
  readonly event: EventText;
  readonly at: EventTime;
  /**
   * `kernel`, `udev`, `publish`, `eventfs`, or `unknown`: the daemon's knowledge, not the text's.
   */
  readonly source: string;
  /** The queue's path below the mount; one character a byte. */
  readonly queue: string;
  /** How many events are missing at this place; above 0 for an overflow record only. */
  readonly loss: number;
}

/**
 * Describes an event of a queue.
 *
 * @param sources null if the output does not show the source
 */
export function watched(
  event: EventText,
  queue: string,
  clock: EventClock,
  sources: EventSources | null,
): WatchedEvent {
  const loss = tellsOfLoss(event) ? lostOf(event) : 0;
  const at = clock.of(event);
  const source = sources?.of(event) ?? 'unknown';
  // The file of a kept event says publish:UID; a stream does not tell the user.
  return { event, at, source: at.source?.replace(/:.*/, '') ?? source, queue, loss };
}
