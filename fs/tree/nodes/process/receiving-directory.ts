/** Base class of the directories that receive the bus's events and have readers. */
import type { Event, LogIndex } from '../../../bus/event.js';
import { type Timestamp, now } from '../../../shared/timestamp.js';
import type { Filter, FilterLimits } from '../../../uevent/filter/filter.js';
import type { Recipient } from '../../deliveries.js';
import { EVERYTHING, chargeFilter, refundFilter } from '../../filter-charge.js';
import { type QueueDirectory, QueueReaders, QueueStreamFile } from '../../streams/queue-stream.js';
import { FilterFile } from '../fixed/filter-file.js';
import type { FilteredDirectory, UnparsedFilter } from '../fixed/filter-handle.js';
import { type ReplayingDirectory, SinceFile } from '../fixed/since-file.js';
import type { Node } from '../node.js';
import { QueueStart, type ReplayTarget } from './replay.js';
import { WritableDirectory } from './writable-directory.js';

/** A directory whose queue takes the events that its filter matches. */
export abstract class ReceivingDirectory
  extends WritableDirectory
  implements Recipient, FilteredDirectory, QueueDirectory, ReplayTarget, ReplayingDirectory
{
  filter: Filter = EVERYTHING;
  /** The open `.filter` that was written last, until something else sets the filter. */
  lastWriter: UnparsedFilter | null = null;
  readonly readers = new QueueReaders();
  /** When the filter was set last. */
  filtered: Timestamp = this.born;
  /** Where the queue begins. */
  protected readonly start = new QueueStart(this.context.bus, this.born);

  /**
   * Takes an event. If the filter matches, the queue links the event, or counts a loss if it has no
   * room.
   */
  deliver(event: Event): void {
    if (!this.wants(event) || this.lifetime.over) return;
    this.context.drainCheck.dataCame();
    const entry = this.entryFor(event);
    const isAdded = this.queue.add(entry);
    if (isAdded) {
      this.announceNewest();
      this.own.contentsChanged(event.time);
    }
    if (this.readers.any) this.unsettle();
  }

  /** Returns whether the directory takes an event. */
  wants(event: Event): boolean {
    return this.filter.all || event.always || this.filter.matches(event);
  }

  /** The number in the log of the first event that readers have not been woken for. */
  get settledBefore(): LogIndex {
    return this.context.streams.settled;
  }

  /** Marks the directory, so that its blocked readers are answered at the next wake-up. */
  unsettle(): void {
    this.context.deliveries.settleLater(this);
  }

  /** Whether a reader or a poller waits for events of this directory. */
  get isAwaited(): boolean {
    return this.readers.any;
  }

  /**
   * Answers blocked reads with the events in the queue, and wakes pollers.
   * @param most the most reads to answer
   * @returns how many it answered
   */
  settle(most: number): number {
    return this.readers.settle(this.context.port, this.queue.complete, most);
  }

  /** The size limits of a filter. */
  get limits(): FilterLimits {
    return this.context.settings.filterLimits;
  }

  /** Logs a warning through the logger of the daemon. */
  warn(message: string): void {
    this.context.logger.warn(message);
  }

  /**
   * Sets the filter and adapts the charge.
   * @param writer the open `.filter` that sets it
   * @throws FsError EDQUOT or ENOSPC if the filter costs too much; then the old one stays
   */
  setFilter(filter: Filter, writer: UnparsedFilter | null = null): void {
    chargeFilter(this.charge.account, filter, this.filter);
    const { deliveries } = this.context;
    deliveries.withdraw(this);
    this.filter = filter;
    this.filtered = now();
    deliveries.add(this);
    this.lastWriter = writer;
    deliveries.parsed(this);
    this.recordChange();
  }

  /**
   * Schedules the parsing of a written filter before the next event. An unparsed filter of another
   * open `.filter` is parsed at once.
   * @param writer the open `.filter` that holds its text
   */
  parseLater(writer: UnparsedFilter): void {
    if (this.lastWriter !== writer) this.parseUnparsed();
    this.lastWriter = writer;
    this.context.deliveries.parseLater(this);
  }

  /** Parses the filter that was written and not parsed yet, if there is one. */
  parseUnparsed(): void {
    if (this.context.deliveries.parsed(this) && !this.lifetime.over) this.lastWriter?.parseNow();
  }

  /** Runs when an open `.filter` is closed: parses its text if that is not done yet. */
  writerGone(writer: UnparsedFilter): void {
    if (this.lastWriter !== writer) return;
    this.parseUnparsed();
    this.lastWriter = null;
  }

  /**
   * Called when streams can take events that they could not take before. Marks the blocked readers,
   * so that the bus answers them when it settles next.
   */
  override fileComplete(): void {
    if (this.lifetime.over) return;
    this.context.drainCheck.dataCame();
    if (!this.readers.any) return;
    this.unsettle();
    this.context.bus.settleLater();
  }

  /** The name of the event after which the queue begins. */
  get beginsAfter(): string {
    return this.start.after;
  }

  /** When earlier events were linked in last. */
  get replayed(): Timestamp {
    return this.start.moved;
  }

  /**
   * Links the kept events that came after the event `name` into the queue (QueueStart).
   * @param name an event's name; that of an event later than `beginsAfter` changes nothing
   * @throws FsError ENOENT if no event can have had the name
   */
  replay(name: string): void {
    const linked = this.start.moveTo(name, this);
    this.recordChange();
    const { firstPosition } = this.queue.entries;
    for (let n = 0; n < linked; n++) this.context.inotify.announce(this, firstPosition + n);
    this.changed();
    this.fileComplete();
  }

  protected override makeFixture(name: string): Node | undefined {
    if (name === '.stream') return new QueueStreamFile(this.fixtureId(name), this, name);
    if (name === '.filter') return new FilterFile(this.fixtureId(name), this, name);
    return name === '.since'
      ? new SinceFile(this.fixtureId(name), this, name)
      : super.makeFixture(name);
  }

  /** Ends delivery and refunds the filter: the directory has ended. */
  protected stopReceiving(): void {
    this.context.deliveries.forget(this);
    refundFilter(this.charge.account, this.filter);
    this.filter = EVERYTHING; // a ghost may keep the directory in memory for long
  }

  /** Checks that the deaths were drained after the last event (fs/tree/drain-check.ts). */
  override beforeAnswer(): void {
    this.context.drainCheck.beforeAnswer();
  }
}
