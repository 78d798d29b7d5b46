/** Where the queue of a process directory begins, and the replay of earlier events (`.since`). */
import { type Event, type LogIndex, type Timestamp, now } from '../../../bus/event.js';
import type { Bus } from '../../../bus/bus.js';
import type { Entry, Queue } from '../../../bus/queue.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import { clock } from '../../../shared/clock.js';
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
  /** Whether the directory takes an event. */
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
    this.#moved = born;
  }

  /** The kernel's last SEQNUM before the first event that the queue was offered. */
  get after(): SeqNum {
    return this.#after;
  }

  /** The number in the log of the first event that the queue was offered. */
  get first(): LogIndex {
    return this.#first;
  }

  /** Takes up the place that the queue had in another daemon. */
  restore(first: LogIndex, after: SeqNum, moved: Timestamp): void {
    this.#first = first;
    this.#after = after;
    this.#moved = moved;
  }

  /** When the place was moved last. */
  get moved(): Timestamp {
    return this.#moved;
  }

  /**
   * Moves the place to an earlier one: links the kept events that came after the kernel's event
   * `seqnum` into the queue, before all others. It leaves out those that the queue was offered
   * already. Events that are no longer kept count as lost, whether or not the filter would match.
   * If the filter is so costly that matching all kept events would hold the daemon for too long,
   * the oldest count as lost too.
   * @param seqnum a SEQNUM, not later than `after`
   * @returns the number of events that the queue has linked
   */
  moveTo(seqnum: SeqNum, target: ReplayTarget): number {
    const { first, events, lost } = this.bus.since(seqnum, this.#after, this.#first);
    const { wanted, skipped } = wantedOf(events, target);
    const linked = target.queue.prepend(
      wanted.map((event) => target.entryFor(event)),
      lost + skipped,
    );
    this.#first = first;
    this.#after = seqnum;
    this.#moved = now();
    return linked.length;
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
    if (cost > MOST_REPLAY_COST && (skipped > 0 || clock.monotonicMs() - startMs > MOST_REPLAY_MS)) {
      skipped += event.weight;
      continue;
    }
    if (target.wants(event)) wanted.push(event);
    event.dropCaches();
  }
  return { wanted: wanted.reverse(), skipped };
}
