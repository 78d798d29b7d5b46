/** `stream` and `match/<filter>`: every open is a queue of its own, a cursor into the log that dies with the open file. */
import { FilterGroup, Cursor } from '../../bus/cursor.js';
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
import type { QuotaLedger, QuotaAccount } from '../quota.js';
import { RootFile } from '../nodes/root-file.js';
import { type StatusLine, type StatusLines, subscriberText } from '../../shared/status-lines.js';
import { Waiters } from './waiters.js';

/**
 * How many readers are woken before other requests have their turn. Then the publisher and those who were woken run
 * while the rest are still to be woken, and these get what has come meanwhile in the same read. As many as the channel
 * answers with one system call (native/addon/fuse/reply_batch.h), measured: see docs/decisions/008-wake-64-at-a-time.md.
 */
export const WOKEN_AT_ONCE = 64;

/**
 * The size that a stream shows, as files of sysfs show 4,096: with none, sendfile(2) would say that it has ended, without
 * asking (mm/filemap.c, filemap_splice_read), and busybox's cat would believe it.
 */
export const STREAM_BYTES = 4096;

/** The most streams that `.status` lists. */
const MOST_LISTED = 256;

/** All streams with one filter: an event is looked at once for all of them. */
export class StreamGroup extends FilterGroup {
  readonly handles = new Set<StreamHandle>();
  readonly waiters = new Waiters();

  /**
   * Events have come: wakes pollers, and answers blocked reads with all that there is.
   * @param most how many pollers and reads together
   * @returns how many it woke and answered
   */
  settle(port: ReplyPort, most: number): number {
    const woken = this.waiters.wakePollers(port, most);
    return woken === most ? woken : woken + this.#answerSome(port, most - woken);
  }

  /**
   * Answers the blocked reads that are first in line. Most stand at the same place, and those of them with the same room get
   * the same bytes, made once.
   */
  #answerSome(port: ReplyPort, most: number): number {
    let batch: ParkedRead[] = [];
    let leader: Cursor | null = null;
    let begun = { place: -1, size: -1, lost: 0 };
    let answered = 0;
    const { waiters } = this;
    for (const read of waiters.reads) {
      if (answered === most) break;
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
        // It has come back since, or another read of the same open file has taken the events.
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

/** The groups, by their filter's text. A group lasts as long as a stream is open. */
export class Streams {
  readonly groups = new Map<string, StreamGroup>();
  /** How many are open. */
  size = 0;
  readonly #index = new FilterIndex<StreamGroup>();
  /** The groups that have got events since they were settled. */
  readonly #fresh = new Set<StreamGroup>();

  constructor(
    readonly log: Log,
    readonly ledger: QuotaLedger,
  ) {}

  /** An event has come. */
  take(event: Event): void {
    this.#index.offer(event, this.#deliver);
  }

  readonly #deliver = (group: StreamGroup, event: Event): void => {
    if (group.take(event)) this.#fresh.add(group);
  };

  /** The number in the log from which on nobody has been told. */
  settled = 0 as LogIndex;

  /**
   * Answers some of the blocked reads with what has come, WOKEN_AT_ONCE of all groups together: a user may have a
   * thousand groups.
   * @returns whether there are more
   */
  settle(port: ReplyPort): boolean {
    this.settled = this.log.next;
    let room = WOKEN_AT_ONCE;
    for (const group of this.#fresh) {
      if (room === 0) break;
      this.#fresh.delete(group);
      room -= group.settle(port, room);
      if (room === 0) this.#fresh.add(group); // behind the others
    }
    return this.#fresh.size > 0;
  }

  /** EDQUOT, ENOSPC. */
  open(node: Node, filter: Filter, caller: Caller): StreamHandle {
    const account = this.ledger.account(caller.uid, caller.gid);
    account.chargeAll(streamPrice(filter, this.log.limits.events));
    let group = this.groups.get(filter.text);
    if (group === undefined) {
      group = new StreamGroup(this.log, filter);
      this.groups.set(filter.text, group);
      this.#index.add(group);
    }
    const handle = new StreamHandle(node, group, this, caller.pid, account);
    group.handles.add(handle);
    this.size++;
    return handle;
  }

  /** `STREAM_0=pid=...` for each, but not for more than a person or a program can make use of. */
  statusLines(): StatusLines {
    const lines: StatusLine[] = [];
    for (const group of this.groups.values()) {
      const filter = group.filter.text;
      for (const { openerPid, cursor } of group.handles) {
        const { pending, lost } = cursor;
        lines.push([
          `STREAM_${lines.length}`,
          subscriberText({ pid: openerPid, pending, lost, filter }),
        ]);
        if (lines.length === MOST_LISTED && this.size > MOST_LISTED) {
          lines.push(['STREAMS_NOT_LISTED', this.size - MOST_LISTED]);
          return lines;
        }
      }
    }
    return lines;
  }

  close(handle: StreamHandle): void {
    const { group } = handle;
    group.handles.delete(handle);
    this.size--;
    handle.streamAccount.refundAll(streamPrice(group.filter, this.log.limits.events));
    group.waiters.unwatch(handle);
    if (group.handles.size > 0) return;
    this.groups.delete(group.filter.text);
    this.#index.remove(group);
    this.#fresh.delete(group);
  }
}

export class StreamHandle extends Handle {
  readonly cursor: Cursor;

  constructor(
    node: Node,
    readonly group: StreamGroup,
    readonly streams: Streams,
    /** The thread that opened it, for `.status`. */
    readonly openerPid: number,
    /** Where the stream is charged, besides the open file. */
    readonly streamAccount: QuotaAccount,
  ) {
    super(node);
    this.cursor = new Cursor(group);
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

/** `stream`, or a file of `match/` (match-directory.ts). */
export class StreamFile extends RootFile {
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    readonly streams: Streams,
  ) {
    super(id, lifetime, 0o444);
  }

  /** Which events it shows. */
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
