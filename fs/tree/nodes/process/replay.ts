/** Where the queue of a process directory begins, and the replay of earlier events (`.since`). */
import type { Event, LogIndex } from '../../../bus/event.js';
import { type Timestamp, now } from '../../../shared/timestamp.js';
import type { Bus, LogRange } from '../../../bus/bus.js';
import type { Entry, Queue } from '../../../bus/queue.js';
import { Errno, FsError } from '../../../shared/errors.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { clock } from '../../../shared/clock.js';
import type { Fields } from '../../../state/schema.js';
import { timeOf } from '../../../state/times.js';
import type { SeqNum } from '../../../uevent/text.js';

/**
 * A replay matches its whole history if that costs no more than this, in the units of filter cost.
 * Otherwise it matches as much as it can in MOST_REPLAY_MS milliseconds.
 */
const MOST_REPLAY_COST = 32_768;
const MOST_REPLAY_MS = 5;

/** A directory that earlier events can be linked into. */
export interface ReplayTarget {
  readonly filter: Filter;
  readonly queue: Queue<Entry>;
  /** Returns whether the directory takes an event. */
  wants(event: Event): boolean;
  /** Returns an entry for an event, under a name that is free. */
  entryFor(event: Event): Entry;
}

/** The place in the log at which the queue of a directory begins. */
export class QueueStart {
  /** The number in the log of the first event that the queue was offered. */
  #first: LogIndex;
  /** The kernel's last SEQNUM before that event. */
  #after: SeqNum;
  /** The name of the event that it begins after, as `.since` shows it. */
  #shown: string;
  #moved: Timestamp;

  /**
   * @param bus the source of the events; the queue begins with its next event
   * @param born the time at which the daemon made the directory
   */
  constructor(
    private readonly bus: Bus,
    born: Timestamp,
  ) {
    this.#first = bus.log.next;
    this.#after = bus.lastSeqnum;
    this.#shown = String(bus.lastSeqnum);
    this.#moved = born;
  }

  /** The name of the event after which the queue begins; at first the kernel's last SEQNUM. */
  get after(): string {
    return this.#shown;
  }

  /** The number in the log of the first event that the queue was offered. */
  get first(): LogIndex {
    return this.#first;
  }

  /** The kernel's last SEQNUM before that event. */
  get seqnum(): SeqNum {
    return this.#after;
  }

  /** Restores the place that the queue had in an earlier daemon. */
  restore(state: Fields<'directory'>): void {
    this.#first = state.first as LogIndex;
    this.#after = state.after as SeqNum;
    this.#shown = state.shown;
    this.#moved = timeOf(state, 'moved');
  }

  /** When the place was moved last. */
  get moved(): Timestamp {
    return this.#moved;
  }

  /**
   * Moves the place to an earlier one: links the kept events that came after the event `name` into
   * the queue, before all others. It leaves out those that the queue was offered already. Events
   * that are no longer kept count as lost, whether or not the filter would match. If the filter is
   * so costly that matching all kept events would hold the daemon for too long, the oldest count as
   * lost too. A later event changes nothing.
   * @param name the event's name: a SEQNUM, or `SEQNUM.n`
   * @returns the number of events that the queue has linked
   * @throws FsError ENOENT if no event can have had the name
   */
  moveTo(name: string, target: ReplayTarget): number {
    const range = this.#rangeAfter(name);
    if (range === null) return 0;
    const { wanted, skipped } = wantedOf(range.events, target);
    const linked = target.queue.prepend(
      wanted.map((event) => target.entryFor(event)),
      range.lost + skipped,
    );
    this.#first = range.first;
    this.#shown = name;
    this.#moved = now();
    return linked.length;
  }

  /**
   * Returns the events between the event `name` and the place, or null if the event came later.
   * Moves `#after`.
   */
  #rangeAfter(name: string): LogRange | null {
    const { bus } = this;
    const number = bus.numberOf(name);
    if (number !== undefined) {
      const begin = (number + 1) as LogIndex;
      if (begin > this.#first) return null;
      const range = bus.between(begin, this.#first);
      this.#after = bus.seqnumBefore(begin);
      return range;
    }
    if (name.includes('.'))
      throw new FsError(
        Errno.ENOENT,
        `no event of this mount has had the name ${name}; the daemon may have been restarted since`,
      );
    const seqnum = Number(name) as SeqNum;
    if (seqnum > this.#after) return null;
    const range = bus.since(seqnum, this.#after, this.#first);
    this.#after = seqnum;
    return range;
  }
}

/**
 * Returns the events that the filter matches and the queue does not hold, and how many events were
 * skipped without a match. It goes from the newest to the oldest.
 */
function wantedOf(
  events: readonly Event[],
  target: ReplayTarget,
): { readonly wanted: readonly Event[]; readonly skipped: number } {
  const { filter, queue } = target;
  const wanted: Event[] = [];
  const startMs = clock.monotonicMs();
  let cost = 0;
  let skipped = 0;
  for (const event of events.toReversed()) {
    if (queue.entries.get(event.name)?.event === event) continue;
    cost += filter.costOf(event.length);
    if (
      cost > MOST_REPLAY_COST &&
      (skipped > 0 || clock.monotonicMs() - startMs > MOST_REPLAY_MS)
    ) {
      skipped += event.weight;
      continue;
    }
    if (target.wants(event)) wanted.push(event);
    event.dropCaches();
  }
  return { wanted: wanted.reverse(), skipped };
}
