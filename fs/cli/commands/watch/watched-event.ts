/** An event as `eventfs watch` shows it: the text, and the facts that the text lacks. */
import type { EventClock, EventTime } from '../../../client/events/clock.js';
import { sourceOf } from '../../../client/events/source.js';
import { type EventText, tellsOfLoss } from '../../../client/events/text.js';

/** One event of a stream. */
export interface WatchedEvent {
  readonly event: EventText;
  readonly at: EventTime;
  /** As {@link sourceOf} returns it. */
  readonly source: string;
  /** The queue's path below the mount; one character a byte. */
  readonly queue: string;
  /** How many events are missing at this place; above 0 for an overflow record only. */
  readonly loss: number;
}

/** Describes an event of a queue. */
export function watched(event: EventText, queue: string, clock: EventClock): WatchedEvent {
  const loss = tellsOfLoss(event) ? Number(event.property('LOST') ?? 0) : 0;
  return { event, at: clock.of(event), source: sourceOf(event), queue, loss };
}
