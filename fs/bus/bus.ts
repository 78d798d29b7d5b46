/**
 * The bus: each event passes here once, from its source into the log and to each listener.
 *
 *   source --publish--> log.append --take--> listeners (the tree, outlets)
 *                                  --settle--> blocked readers get their replies
 *
 * A source publishes all events that it has and then settles once, so that a reader that wakes
 * finds the whole batch.
 */
import { SeqnumIndex } from './events/seqnum-index.js';
export type { BusListener, LogRange } from './bus-types.js';
import type { BusCounters, BusListener, LogRange } from './bus-types.js';
import type { Event, LogIndex } from './event.js';
import { now } from '../shared/timestamp.js';
import { type Log, WEIGHED } from './log.js';
import { NameIndex } from './events/name-index.js';
import type { IdAllocator } from '../shared/id-allocator.js';
import { type Entry, Queue, type QueueLimits } from './queue.js';
import type { Journal } from '../state/journal.js';
import { recordEvent } from './events/event-record.js';
import { SourceId } from '../uevent/event-source.js';
import { NO_SEQNUM, type SeqNum, type UeventText, overflowText } from '../uevent/text.js';

/** The limits of `log/` (docs/design.md, section 3). */
export const HISTORY_LIMITS: QueueLimits = { events: 1024, bytes: 1024 * 1024 };

/** The way of every event from a source to the listeners. */
export class Bus {
  readonly #listeners: BusListener[] = [];
  /**
   * The last events by name: `log/` shows them, and `.since` takes them from here. The ring reaches
   * back at least as far.
   */
  readonly history: Queue<Entry>;
  readonly #seqnums = new SeqnumIndex();
  #lastSeqnum = 0 as SeqNum;
  /**
   * How many events came from each source. `cut` counts records that were not published, because
   * their publisher ended in the middle.
   */
  readonly counted = { kernel: 0, udev: 0, published: 0, cut: 0 };
  /** How many events the sources have lost. */
  lost = 0;
  /** Tells the driver to call `settleSome` soon; null while no driver is attached. */
  #settleSoon: (() => void) | null = null;
  readonly #names = new NameIndex();

  /**
   * @param log the log that events are appended to
   * @param inodes the source of the events' inode numbers
   * @param historyLimits the limits of `log/`
   */
  constructor(
    readonly log: Log,
    readonly inodes: IdAllocator,
    historyLimits: QueueLimits = HISTORY_LIMITS,
  ) {
    this.history = new Queue(historyLimits);
  }

  /** Sends each event from now on to the listener too. */
  attach(listener: BusListener): void {
    this.#listeners.push(listener);
  }

  /** Sends no more events to the listener. Does nothing if it is not attached. */
  detach(listener: BusListener): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }

  /**
   * Attaches a driver.
   * @param settleSoon tells the driver to call `settleSome` soon
   */
  settleBy(settleSoon: () => void): void {
    this.#settleSoon = settleSoon;
  }

  /** Sets the limits of `log/`. They apply from the next event on. */
  setHistoryLimits(limits: QueueLimits): void {
    this.history.limits = limits;
  }

  /**
   * Sets the start of a source.
   * @param seqnum the kernel's last SEQNUM so far
   */
  beginAfter(seqnum: SeqNum): void {
    this.#lastSeqnum = seqnum;
  }

  /** The kernel's last SEQNUM. An event without its own SEQNUM has a name that begins with it. */
  get lastSeqnum(): SeqNum {
    return this.#lastSeqnum;
  }

  /** Publishes an event of the kernel. */
  publishKernel(text: UeventText): void {
    this.counted.kernel++;
    this.#publishNumbered(text, SourceId.kernel);
  }

  /**
   * Publishes an event of udevd. It has the SEQNUM of the kernel's event that udevd made it from.
   */
  publishUdev(text: UeventText): void {
    this.counted.udev++;
    this.#publishNumbered(text, SourceId.udev);
  }

  #publishNumbered(text: UeventText, sourceId: number): void {
    this.#append(text.bytes, text.length, text.seqnum, sourceId);
    if (!(text.seqnum > this.#lastSeqnum)) return; // also if it has no SEQNUM: NaN
    this.#lastSeqnum = text.seqnum;
  }

  /**
   * Publishes an event of a program.
   * @param uid the user that opened `publish`
   */
  publish(text: UeventText, uid: number): void {
    this.counted.published++;
    this.#append(text.bytes, text.length, text.seqnum, uid, text.isLoss ? text.lost : 1);
  }

  /**
   * Publishes an overflow record, which every queue gets.
   * @param count how many events a source has lost
   */
  publishLoss(count: number): void {
    this.lost += count;
    const text = overflowText(count);
    this.#append(text, text.length, NO_SEQNUM, SourceId.eventfs, count);
  }

  // ---- a later daemon

  /** Writes the record of a delivered event. */
  record(event: Event, journal: Journal): void {
    const { log } = this;
    const { number, inRing } = event;
    recordEvent(
      journal,
      event,
      this.#seqnums.before(number) ?? 0,
      inRing ? log.weightBefore(number) : 0,
      inRing ? log.checksumOf(event) : 0,
    );
  }

  /** Writes the bus's part of the record `counters`. */
  recordCounters(journal: Journal): void {
    const { kernel, udev, published, cut } = this.counted;
    journal
      .number(this.#lastSeqnum)
      .number(this.#names.highest)
      .number(kernel)
      .number(udev)
      .number(published)
      .number(cut)
      .number(this.lost);
  }

  /**
   * Restores the counters of the last daemon, and its index of SEQNUMs.
   * @param events those in the ring, oldest first, with the kernel's last SEQNUM before each
   */
  restore(
    counters: BusCounters,
    events: readonly { readonly event: Event; readonly seqnumBefore: number }[],
  ): void {
    const { kernel, udev, published, cut } = counters;
    Object.assign(this.counted, { kernel, udev, published, cut });
    this.lost = counters.lost;
    this.#lastSeqnum = counters.lastSeqnum as SeqNum;
    this.#seqnums.beginAt(this.log.oldest);
    this.#names.beginAt(this.log.oldest);
    for (const { event, seqnumBefore } of events) {
      this.#seqnums.note(event.number, seqnumBefore as SeqNum, event.always);
      this.#names.noteName(event.number, event.name);
    }
    this.#names.goOnAfter(counters.highest as SeqNum);
  }

  /** Wakes all waiting readers. A source calls it when it has no more events for now. */
  settle(): void {
    while (this.#settleRound());
  }

  /**
   * Wakes some of the waiting readers, and the rest in later calls. Other requests are served in
   * between, and may bring more events.
   */
  settleSome(): void {
    if (this.#settleRound()) this.settleLater();
  }

  /**
   * Settles after the caller that is being served has its reply: the driver then calls
   * `settleSome`. Without a driver it settles at once.
   */
  settleLater(): void {
    if (this.#settleSoon === null) this.settle();
    else this.#settleSoon();
  }

  /**
   * Finds the number of an event by its name, also if `log/` no longer has the event.
   * @returns undefined if no event of that name is known. For the SEQNUM of a published event that
   *   came before all known names: the number before these
   */
  numberOf(name: string): LogIndex | undefined {
    const kept = this.history.entries.get(name)?.event.number;
    return kept ?? this.#names.find(name, this.log, this.#lastSeqnum);
  }

  /**
   * Finds the events that came after the kernel's event `seqnum`, up to a later place in the log.
   * @param seqnum the SEQNUM of the event before the first one wanted
   * @param last the kernel's SEQNUM at `end`; events behind it are not wanted
   * @param end the number in the log before which the events must be
   */
  since(seqnum: SeqNum, last: SeqNum, end: LogIndex): LogRange {
    const { number, unknown } = this.#seqnums.after(seqnum, last, this.#lastSeqnum);
    return this.between(number, end, unknown);
  }

  /**
   * Finds the events of a range of the log.
   * @param begin the number of the first event
   * @param end the number behind the last event
   * @param unknown how many events came before `begin` and are lost too
   */
  between(begin: LogIndex, end: LogIndex, unknown = 0): LogRange {
    const first = Math.min(begin, end) as LogIndex;
    const kept = [...this.history.entries].map(({ event }) => event);
    const oldest = Math.max(first, Math.min(end, kept[0]?.number ?? end)) as LogIndex;
    const weighed = Math.min(oldest, Math.max(first, this.log.next - WEIGHED)) as LogIndex;
    return {
      first,
      events: kept.filter(({ number }) => number >= first && number < end),
      // From before the known weights each record counts as one.
      lost:
        unknown +
        (weighed - first) +
        this.log.weightBefore(oldest) -
        this.log.weightBefore(weighed),
    };
  }

  /**
   * Returns the kernel's last SEQNUM before an event; the oldest that is known for an old event.
   */
  seqnumBefore(number: LogIndex): SeqNum {
    return this.#seqnums.before(number) ?? this.#lastSeqnum;
  }

  #settleRound(): boolean {
    let more = false;
    for (const listener of this.#listeners) more = listener.settle() || more;
    return more;
  }

  /** @param weight for an overflow record, how many lost events it states; else 1 */
  #append(text: Uint8Array, length: number, seqnum: SeqNum, sourceId: number, weight = 1): void {
    const { next } = this.log;
    const isNew = this.#names.note(next, seqnum);
    const hasSeqnum = !Number.isNaN(seqnum);
    // The kernel may send events in another order than it counts them.
    const isPlain =
      isNew || (hasSeqnum && sourceId < 0 && !this.history.entries.has(String(seqnum)));
    const name = isPlain ? String(seqnum) : `${hasSeqnum ? seqnum : this.#lastSeqnum}.${next + 1}`;
    const event = this.log.append(name, this.inodes.next(), text, length, now(), weight);
    event.always = sourceId === SourceId.eventfs;
    event.isUnique = isNew || !isPlain;
    event.sourceId = sourceId;
    this.#seqnums.note(event.number, this.#lastSeqnum, event.always);
    const { recorder } = this.log;
    if (recorder !== null) {
      this.record(event, recorder.journal);
      recorder.counted();
    }
    this.history.add(event);
    for (const listener of this.#listeners) listener.take(event);
    event.dropCaches();
  }
}
