/** The limits of a queue, and its behaviour at them. */

/**
 * The behaviour of a full queue when one more event comes. `drop-oldest` drops the oldest event,
 * the others drop the new one; the dropped event is lost. With `drop-newest` and `refuse`, the
 * queue drops no event that a user puts in: `Queue.refuses` says beforehand that there is no room.
 * For events from the bus these two are the same.
 */
export type Overflow = 'drop-oldest' | 'drop-newest' | 'refuse';

/** The limits of one queue. */
export interface QueueLimits {
  /** The most events. */
  readonly events: number;
  /** The most bytes of text. */
  readonly bytes: number;
  /** Default: `drop-oldest`. */
  readonly overflow?: Overflow;
}
