/** All open streams of the log, in groups of those that have the same filter. */
import type { Event, LogIndex } from '../../bus/event.js';
import { FilterIndex } from '../../bus/filter-index.js';
import type { Filter } from '../../uevent/filter/filter.js';
import type { Log } from '../../bus/log.js';
import type { Caller } from '../../owners/owners.js';
import type { ReplyPort } from '../ports.js';
import type { Node } from '../nodes/node.js';
import { streamPrice } from '../prices.js';
import { forceChargeAll } from '../quota/force-charge.js';
import type { QuotaLedger } from '../quota/ledger.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded, Recorder } from '../../state/recorder.js';
import { type Fields, Kind } from '../../state/schema.js';
import { StreamGroup, StreamHandle, type StreamOwner } from './stream-handle.js';

/**
 * The most readers that the daemon wakes before it serves other requests. The publisher and the
 * woken readers run while the others still wait, and the others then get the events of the meantime
 * in the same read. It is the number of replies that the channel sends with one system call
 * (native/addon/device/reply_batch.h), and it was measured: see
 * docs/decisions/008-wake-64-at-a-time.md.
 */
export const WOKEN_AT_ONCE = 64;

/** All open streams of the log. */
export class Streams implements Recorded, StreamOwner {
  /** Whether the next commit records the counts. */
  isMarked = false;
  /** The number of the next group, in the state of the daemon. */
  #nextGroup = 1;
  /**
   * The record of each group says how many events had matched before this number or a later one.
   */
  #recordedFrom = 0;
  /** The groups, by their filter's text. A group exists as long as one of its streams is open. */
  readonly groups = new Map<string, StreamGroup>();
  /** The number of open streams. */
  size = 0;
  /** How many streams were opened, ever: the id of the next one. */
  #opened = 0;
  #lostByClosed = 0;

  /** How many events the streams have lost that are closed. */
  get lostByClosed(): number {
    return this.#lostByClosed;
  }

  /** Finds the groups whose filter may match an event. */
  readonly #index = new FilterIndex<StreamGroup>();
  /** The groups with new events, whose readers are not all answered yet. */
  readonly #fresh = new Set<StreamGroup>();

  constructor(
    readonly log: Log,
    readonly ledger: QuotaLedger,
    readonly recorder: Recorder | null = null,
  ) {}

  /** Offers a new event to each group whose filter may match it. */
  take(event: Event): void {
    this.#index.offer(event, this.#deliver);
    if (this.recorder !== null) this.recordGroupsIfDue();
  }

  /**
   * Makes the next commit record all groups, before the ring overwrites events that a later daemon
   * would have to match again. Call it after the ring has dropped events, in the same transaction.
   */
  recordGroupsIfDue(): void {
    const { oldest, next } = this.log;
    if (2 * (this.#recordedFrom - oldest) >= next - oldest) return;
    this.#recordedFrom = next;
    for (const group of this.groups.values()) this.recorder?.changed(group);
  }

  /** Writes the counts. */
  record(journal: Journal): void {
    journal.begin(Kind.streams).number(this.#opened).number(this.#lostByClosed).end();
  }

  /** Iterates over all that is recorded besides the open files. */
  *recorded(): IterableIterator<Recorded> {
    yield this;
    yield* this.groups.values();
  }

  /** Restores the counts of the last daemon. */
  restoreCounts({ opened, lostByClosed }: Fields<'streams'>): void {
    this.#opened = opened;
    this.#lostByClosed = lostByClosed;
  }

  /**
   * Makes a group of the last daemon. Its streams must follow.
   * @param filter the filter of its record
   * @returns the group
   */
  restoreGroup(filter: Filter, { id, since, number, matched }: Fields<'group'>): StreamGroup {
    const group = this.#addGroup(filter, id, since);
    group.matchAgain(since, number, matched);
    this.#nextGroup = Math.max(this.#nextGroup, id + 1);
    return group;
  }

  /** Adds a stream of the last daemon to its group, and charges it. */
  restoreStream(handle: StreamHandle): void {
    const { group, streamAccount } = handle;
    group.handles.add(handle);
    this.size++;
    const price = streamPrice(group.filter, this.log.limits.events);
    forceChargeAll(streamAccount, price);
  }

  /**
   * Makes the next settle wake all readers for which events have come, after a restart. A reader
   * that comes before it is answered at once: the settle would not find its group.
   */
  unsettle(): void {
    this.settled = this.log.next;
    for (const group of this.groups.values()) if (group.waiters.any) this.#fresh.add(group);
  }

  #addGroup(filter: Filter, id: number, since?: number): StreamGroup {
    const group = new StreamGroup(this.log, filter, id, since);
    this.groups.set(filter.text, group);
    this.#index.add(group);
    return group;
  }

  readonly #deliver = (group: StreamGroup, event: Event): void => {
    if (group.take(event)) this.#fresh.add(group);
  };

  /** The number of the first event in the log that came after the last `settle` began. */
  settled = 0 as LogIndex;

  /**
   * Wakes pollers and answers blocked reads, at most WOKEN_AT_ONCE of all groups together: a user
   * may have a thousand groups.
   * @returns whether groups remain whose readers are not all answered
   */
  settle(port: ReplyPort): boolean {
    this.settled = this.log.next;
    let room = WOKEN_AT_ONCE;
    for (const group of this.#fresh) {
      if (room === 0) break;
      this.#fresh.delete(group);
      room -= group.settle(port, room);
      if (room === 0 && group.waiters.any) this.#fresh.add(group); // behind the others
    }
    return this.#fresh.size > 0;
  }

  /**
   * Opens a stream that begins after the newest event, and charges the caller for it.
   * @param node the file that is opened
   * @param filter the stream's filter
   * @param caller the process that opens it
   * @throws FsError EDQUOT or ENOSPC if a quota is used up
   */
  open(node: Node, filter: Filter, caller: Caller): StreamHandle {
    const account = this.ledger.account(caller.uid, caller.gid);
    account.chargeAll(streamPrice(filter, this.log.limits.events));
    const { recorder } = this;
    let group = this.groups.get(filter.text);
    if (group === undefined) {
      group = this.#addGroup(filter, this.#nextGroup++);
      recorder?.changed(group);
    }
    const handle = new StreamHandle(node, group, this, caller.pid, this.#opened++, account);
    group.handles.add(handle);
    this.size++;
    recorder?.changed(this);
    return handle;
  }

  /** Closes a stream and refunds its charge. The last stream of a group ends the group. */
  close(handle: StreamHandle): void {
    const { group } = handle;
    group.handles.delete(handle);
    this.size--;
    this.#lostByClosed += handle.cursor.lost;
    this.recorder?.changed(this);
    handle.streamAccount.refundAll(streamPrice(group.filter, this.log.limits.events));
    group.waiters.unwatch(handle);
    if (group.handles.size > 0) return;
    this.recorder?.dropped(Kind.group, group.id);
    this.groups.delete(group.filter.text);
    this.#index.remove(group);
    this.#fresh.delete(group);
  }
}
