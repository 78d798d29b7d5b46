/** The types of the bus. */
import type { Fields } from '../state/schema.js';
import type { Event, LogIndex } from './event.js';

/** A receiver of every event: the tree, or an outlet. */
export interface BusListener {
  /** Receives an event that was just logged. */
  take(event: Event): void;
  /**
   * Wakes waiting readers, maybe only some of them, at the end of a batch.
   * @returns whether more readers wait to be woken
   */
  settle(): boolean;
}

/** The numbers of a bus that a later daemon needs. */
export type BusCounters = Pick<
  Fields<'counters'>,
  'kernel' | 'udev' | 'published' | 'cut' | 'lost' | 'lastSeqnum' | 'highest'
>;

/** A range of the log, of which some events are gone. */
export interface LogRange {
  /** The number at which it begins. */
  readonly first: LogIndex;
  /** Those of its events that `log/` still has. */
  readonly events: readonly Event[];
  /** How many events of the range came before these and are gone. */
  readonly lost: number;
}
