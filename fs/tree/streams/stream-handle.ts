/** Open streams of the log, and the groups of those that have the same filter. */
import { Cursor } from '../../bus/readers/cursor.js';
import { FilterGroup } from '../../bus/readers/filter-group.js';
import type { LogIndex } from '../../bus/event.js';
import type { Filter } from '../../uevent/filter/filter.js';
import type { Log } from '../../bus/log.js';
import type { Sink } from '../../bus/sink.js';
import type { ReplyPort } from '../ports.js';
import { Handle, type HandleType, type Node, type ParkedRead, Poll } from '../nodes/node.js';
import type { QuotaAccount } from '../quota/account.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import { type Fields, Kind } from '../../state/schema.js';
import { Waiters } from './waiters.js';

/** The numbers of open files in one record: one buffer for all records. */
let others = new Int32Array(64);

/** All streams with one filter: the daemon matches an event once for all of them. */
export class StreamGroup extends FilterGroup implements Recorded {
  readonly handles = new Set<StreamHandle>();
  readonly waiters = new Waiters();
  /** Whether the next commit records the group. */
  isMarked = false;

  /**
   * @param id the group's number in the state of the daemon
   * @param since the number of the first event that came after the group began
   */
  constructor(
    log: Log,
    filter: Filter,
    readonly id = 0,
    readonly since: number = log.next,
  ) {
    super(log, filter);
  }

  /** Writes how many events have matched so far; a later daemon matches the others again. */
  record(journal: Journal): void {
    if (this.handles.size === 0) return; // it has ended
    journal
      .begin(Kind.group)
      .number(this.id)
      .text(this.filter.text)
      .number(this.since)
      .number(this.log.next)
      .number(this.matched)
      .end();
  }

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
        if (batch.length > 0) this.#answer(port, batch);
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
    if (batch.length > 0) this.#answer(port, batch);
    return answered;
  }

  /** Answers reads with the same bytes, after their new places are recorded. */
  #answer(port: ReplyPort, batch: readonly ParkedRead[]): void {
    (batch[0].handle as StreamHandle).recordReads(batch);
    port.answer(batch);
  }
}

/** All open streams, as one of them sees them. */
export interface StreamOwner {
  /** The number of the first event in the log that came after the last settle began. */
  readonly settled: LogIndex;
  /** Closes a stream and refunds its charge. */
  close(handle: StreamHandle): void;
}

/** An open `stream` or file of `match/`. */
export class StreamHandle extends Handle {
  readonly cursor: Cursor;
  /** How many events had matched the filter when the stream was opened. */
  readonly #begin: number;

  constructor(
    node: Node,
    readonly group: StreamGroup,
    readonly streams: StreamOwner,
    /** The id of the thread that opened it, for `.status`. */
    readonly openerPid: number,
    /** The number of streams that were opened before it. */
    readonly id: number,
    /** The account charged for the stream, in addition to the open file. */
    readonly streamAccount: QuotaAccount,
    begin = group.matched,
  ) {
    super(node);
    this.cursor = new Cursor(group);
    this.#begin = begin;
  }

  override get recordType(): HandleType {
    return 'stream';
  }

  protected override get recordNumbers(): string {
    return `${this.group.id} ${this.openerPid} ${this.id} ${this.#begin}`;
  }

  override record(journal: Journal): void {
    super.record(journal);
    if (this.recorder !== null) this.cursor.record(journal, this.fh);
  }

  override forgetRecord(): void {
    this.recorder?.dropped(Kind.cursor, this.fh);
    super.forgetRecord();
  }

  override restorePlace(place: Fields<'cursor'>): void {
    this.cursor.restore(place);
    this.chargeRest();
  }

  /** Records the place of the stream, after each read. */
  recordRead(): void {
    const { recorder } = this;
    if (recorder === null) return;
    this.cursor.record(recorder.journal, this.fh);
    recorder.wrote();
  }

  /**
   * Records the place of this stream and of those that have just got the same bytes.
   * @param batch the reads, of which the first is this stream's
   */
  recordReads(batch: readonly ParkedRead[]): void {
    const { recorder, cursor } = this;
    if (recorder === null) return;
    if (batch.length > others.length) others = new Int32Array(2 * batch.length);
    let count = 0;
    for (let n = 1; n < batch.length; n++) {
      const handle = batch[n].handle as StreamHandle;
      if (handle.cursor.toldLost === cursor.toldLost) others[count++] = handle.fh;
      else handle.recordRead();
    }
    cursor.record(recorder.journal, this.fh, others, count);
    recorder.wrote();
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
    this.recordRead();
    return true;
  }

  override get mayBlock(): boolean {
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
