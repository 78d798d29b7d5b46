/**
 * The files `stream` and `match/<filter>`. Each open file reads events independently of the others:
 * it has its own cursor into the log.
 */
import { Cursor } from '../../bus/readers/cursor.js';
import { FilterGroup } from '../../bus/readers/filter-group.js';
import type { Event, LogIndex } from '../../bus/event.js';
import { FilterIndex } from '../../bus/filter-index.js';
import type { Filter } from '../../uevent/filter/filter.js';
import type { Log } from '../../bus/log.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import type { ReplyPort } from '../ports.js';
import { EVERYTHING } from '../filter-charge.js';
import {
  type Attributes,
  Handle,
  type Lifetime,
  type Node,
  type NodeId,
  type ParkedRead,
  Poll,
} from '../nodes/node.js';
import { streamPrice } from '../prices.js';
import type { QuotaAccount } from '../quota/account.js';
import type { QuotaLedger } from '../quota/ledger.js';
import { RootFile } from '../nodes/root-file.js';
import { Waiters } from './waiters.js';

/**
 * The most readers that the daemon wakes before it serves other requests. The publisher and the
 * woken readers run while the others still wait, and the others then get the events of the meantime
 * in the same read. It is the number of replies that the channel sends with one system call
 * (native/addon/fuse/reply_batch.h), and it was measured: see
 * docs/decisions/008-wake-64-at-a-time.md.
 */
export const WOKEN_AT_ONCE = 64;

/**
 * The size of a stream in stat(2), 4,096 as for files of sysfs. With size 0, sendfile(2) would
 * return the end of the file without a READ (mm/filemap.c, filemap_splice_read), and busybox's cat
 * would end.
 */
export const STREAM_BYTES = 4096;

/** All streams with one filter: the daemon matches an event once for all of them. */
export class StreamGroup extends FilterGroup {
  readonly handles = new Set<StreamHandle>();
  readonly waiters = new Waiters();

  /**
   * Wakes pollers, and answers blocked reads with all the events that have come and fit.
   * @param most the most pollers and reads together
   * @returns the number of pollers woken and reads answered
   */
  settle(port: ReplyPort, most: number): number {
    const woken = this.waiters.wakePollers(port, most);
    return woken === most ? woken : woken + this.#answerSome(port, most - woken);
  }

  /**
   * Answers the first blocked reads. Most cursors are at the same place. Consecutive reads at the
   * same place and with the same size get the same bytes, which are made once, in one `answer`.
   */
  #answerSome(port: ReplyPort, most: number): number {
    let batch: ParkedRead[] = [];
    let leader: Cursor | null = null;
    let begun = { place: -1, size: -1, lost: 0 };
    let answered = 0;
    const { waiters } = this;
    let next: ParkedRead | null;
    for (let read = waiters.reads.first; read !== null && answered < most; read = next) {
      ({ next } = read);
      const handle = read.handle as StreamHandle;
      const { cursor } = handle;
      if (
        leader !== null &&
        begun.place >= 0 &&
        cursor.place === begun.place &&
        read.size === begun.size
      ) {
        cursor.follow(leader, leader.toldLost - begun.lost);
      } else if (cursor.ready) {
        if (batch.length > 0) port.answer(batch);
        batch = [];
        leader = cursor;
        begun = { place: cursor.place, size: read.size, lost: cursor.toldLost };
        cursor.read(port.begin(read.size));
      } else {
        // It was answered and blocks again, or another read of its open file has taken the events.
        continue;
      }
      handle.chargeRest();
      waiters.unpark(read);
      batch.push(read);
      answered++;
    }
    if (batch.length > 0) port.answer(batch);
    return answered;
  }
}

/** All open streams of the log. */
export class Streams {
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

  /** How many streams were opened, ever. */
  get opened(): number {
    return this.#opened;
  }

  /** Takes up the counts of another daemon. */
  restoreCounts(opened: number, lostByClosed: number): void {
    this.#opened = opened;
    this.#lostByClosed = lostByClosed;
  }

  /** Finds the groups whose filter may match an event. */
  readonly #index = new FilterIndex<StreamGroup>();
  /** The groups with new events, whose readers are not all answered yet. */
  readonly #fresh = new Set<StreamGroup>();

  constructor(
    readonly log: Log,
    readonly ledger: QuotaLedger,
  ) {}

  /** Offers a new event to each group whose filter may match it. */
  take(event: Event): void {
    this.#index.offer(event, this.#deliver);
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
    let group = this.groups.get(filter.text);
    if (group === undefined) {
      group = new StreamGroup(this.log, filter);
      this.groups.set(filter.text, group);
      this.#index.add(group);
    }
    const handle = new StreamHandle(node, group, this, caller.pid, this.#opened++, account);
    group.handles.add(handle);
    this.size++;
    return handle;
  }

  /** Closes a stream and refunds its charge. The last stream of a group ends the group. */
  close(handle: StreamHandle): void {
    const { group } = handle;
    group.handles.delete(handle);
    this.size--;
    this.#lostByClosed += handle.cursor.lost;
    handle.streamAccount.refundAll(streamPrice(group.filter, this.log.limits.events));
    group.waiters.unwatch(handle);
    if (group.handles.size > 0) return;
    this.groups.delete(group.filter.text);
    this.#index.remove(group);
    this.#fresh.delete(group);
  }
}

/** An open `stream` or file of `match/`. */
export class StreamHandle extends Handle {
  readonly cursor: Cursor;
  /** How many events had matched the filter when the stream was opened. */
  readonly #begin: number;

  constructor(
    node: Node,
    readonly group: StreamGroup,
    readonly streams: Streams,
    /** The id of the thread that opened it, for `.status`. */
    readonly openerPid: number,
    /** The number of streams that were opened before it. */
    readonly id: number,
    /** The account charged for the stream, in addition to the open file. */
    readonly streamAccount: QuotaAccount,
  ) {
    super(node);
    this.cursor = new Cursor(group);
    this.#begin = group.matched;
  }

  /** How many events have come for this stream, lost ones included. */
  get added(): number {
    return this.group.matched - this.#begin;
  }

  override get isStream(): boolean {
    return true;
  }

  override read(_offset: number, sink: Sink): boolean {
    if (!this.cursor.ready) return false;
    this.assertRestFits(sink.room);
    this.cursor.read(sink);
    this.chargeRest();
    return true;
  }

  override get isFresh(): boolean {
    return this.cursor.ready && this.cursor.isFrom(this.streams.settled);
  }

  override get restLength(): number {
    return this.cursor.restLength;
  }

  override park(read: ParkedRead): void {
    this.group.waiters.park(read);
  }

  override unpark(read: ParkedRead): void {
    this.group.waiters.unpark(read);
  }

  override poll(): number {
    return this.cursor.ready ? Poll.in | Poll.readNormal : 0;
  }

  override watch(): void {
    this.group.waiters.watch(this);
  }

  override release(): void {
    this.streams.close(this);
  }
}

/** The file `stream`, or a file of `match/` (match-directory.ts). */
export class StreamFile extends RootFile {
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    readonly streams: Streams,
  ) {
    super(id, lifetime, 0o444);
  }

  /** The filter of each open file. */
  protected get filter(): Filter {
    return EVERYTHING;
  }

  override attributes(to: Attributes): void {
    super.attributes(to);
    to.size = STREAM_BYTES;
  }

  override open(_flags: number, caller: Caller): Handle {
    return this.streams.open(this, this.filter, caller);
  }
}
