/** A process directory's `.stream`: a read(2) takes events off the directory's queue. */
import type { Entry, Queue } from '../../bus/queue.js';
import { QueueReader } from '../../bus/readers/queue-reader.js';
import type { LogIndex } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import type { ReplyPort } from '../ports.js';
import type { Journal } from '../../state/journal.js';
import { type Fields, Kind } from '../../state/schema.js';
import { Handle, type HandleType, type ParkedRead, Poll } from '../nodes/node.js';
import { QUEUE_STREAM_PRICE } from '../prices.js';
import type { QuotaAccount } from '../quota/account.js';
import { forceChargeAll } from '../quota/force-charge.js';
import { STREAM_BYTES } from './stream-file.js';
import { DotFile, type DotFileHost } from '../nodes/fixed/text-file.js';
import { Waiters } from './waiters.js';

/** A directory with a queue that a process can read. */
export interface QueueDirectory extends DotFileHost {
  readonly queue: Queue<Entry>;
  readonly readers: QueueReaders;
  /** The number of the first event in the log for which no waiting reader has been woken yet. */
  readonly settledBefore: LogIndex;
  /**
   * Checks that the deaths were drained after the last event came (fs/tree/drain-check.ts). Called
   * just before a reader is answered.
   */
  beforeAnswer(): void;
  /** Sets the directory's mtime and ctime: an event was taken. */
  changed(): void;
  /** Makes the next settle of the bus answer the directory's readers. */
  unsettle(): void;
}

/** The file `.stream`. */
export class QueueStreamFile extends DotFile<QueueDirectory> {
  /**
   * The permission bits. A read takes events off the directory, so a class (user, group, others)
   * may read only if it has both r and w on the directory.
   */
  get permissions(): number {
    const { mode } = this.directory;
    return mode & 0o444 & ((mode & 0o222) << 1);
  }

  override get size(): number {
    return STREAM_BYTES;
  }

  /**
   * open(2). Charges the caller for a stream.
   * @throws FsError EDQUOT or ENOSPC if a quota is used up
   */
  override open(_flags: number, caller: Caller): Handle {
    const account = this.directory.ledger.account(caller.uid, caller.gid);
    account.chargeAll(QUEUE_STREAM_PRICE);
    return new QueueStreamHandle(this, account);
  }
}

/** An open `.stream`. */
export class QueueStreamHandle extends Handle {
  readonly #reader: QueueReader;

  constructor(
    override readonly node: QueueStreamFile,
    private readonly streamAccount: QuotaAccount,
  ) {
    super(node);
    this.#reader = new QueueReader(node.directory.queue);
    this.node.directory.readers.opened++;
  }

  override get recordType(): HandleType {
    return 'queue';
  }

  override record(journal: Journal): void {
    super.record(journal);
    if (this.recorder !== null && this.restLength > 0) this.#reader.record(journal, this.fh);
  }

  override forgetRecord(): void {
    this.recorder?.dropped(Kind.cursor, this.fh);
    super.forgetRecord();
  }

  /** Makes an open file of the last daemon, and charges it. */
  static restore(node: QueueStreamFile, account: QuotaAccount): QueueStreamHandle {
    forceChargeAll(account, QUEUE_STREAM_PRICE);
    return new QueueStreamHandle(node, account);
  }

  override restorePlace(place: Fields<'cursor'>): void {
    this.#reader.restore(place);
    this.chargeRest();
  }

  /**
   * Records the rest of a record after a read.
   * @param before the length of the rest before the read, in bytes
   */
  #recordRest(before: number): void {
    const { recorder } = this;
    if (recorder === null || (before === 0 && this.restLength === 0)) return;
    this.#reader.record(recorder.journal, this.fh);
    recorder.wrote();
  }

  override get isStream(): boolean {
    return true;
  }

  override get mayBlock(): boolean {
    return true;
  }

  /** Whether a read returns bytes without blocking. */
  get ready(): boolean {
    return this.#reader.ready;
  }

  override read(_offset: number, sink: Sink): boolean {
    if (!this.#reader.ready) return false;
    this.node.directory.beforeAnswer();
    this.assertRestFits(sink.room);
    const rest = this.restLength;
    this.#reader.read(sink);
    this.chargeRest();
    this.#recordRest(rest);
    this.node.directory.changed();
    return true;
  }

  /**
   * Answers a blocked read with its share of the events.
   * @param sink takes the bytes
   * @param most the most events to take off the queue
   */
  readShare(sink: Sink, most: number): void {
    this.node.directory.beforeAnswer();
    const rest = this.restLength;
    this.#reader.read(sink, most);
    this.chargeRest();
    this.#recordRest(rest);
    this.node.directory.changed();
  }

  override get isFresh(): boolean {
    return this.#reader.isFrom(this.node.directory.settledBefore);
  }

  override get restLength(): number {
    return this.#reader.restLength;
  }

  override park(read: ParkedRead): void {
    const { directory } = this.node;
    directory.readers.park(read);
    if (this.ready) directory.unsettle();
  }

  override unpark(read: ParkedRead): void {
    this.node.directory.readers.unpark(read);
  }

  override poll(): number {
    return this.#reader.ready ? Poll.in | Poll.readNormal : 0;
  }

  override watch(): void {
    this.node.directory.readers.watch(this);
  }

  override release(): void {
    const { readers } = this.node.directory;
    readers.opened--;
    this.streamAccount.refundAll(QUEUE_STREAM_PRICE);
    readers.unwatch(this);
  }
}

/** The blocked reads and pollers that wait for a process directory's events. */
export class QueueReaders extends Waiters {
  /** The number of open `.stream`s of the directory. */
  opened = 0;

  /**
   * Wakes all pollers, and answers blocked reads: each gets about the same number of events, in
   * order.
   * @param complete the number of events in the queue that can be taken
   * @param most the most reads to answer
   * @returns the number of reads answered
   */
  settle(port: ReplyPort, complete: number, most: number): number {
    this.wakePollers(port, Infinity);
    let answered = 0;
    let next: ParkedRead | null;
    for (let read = this.reads.first; read !== null && answered < most; read = next) {
      ({ next } = read);
      const handle = read.handle as QueueStreamHandle;
      // A later read may still be ready: its open file may keep the rest of a record.
      if (!handle.ready) continue;
      const share = Math.max(1, Math.ceil(complete / this.reads.size));
      complete -= share;
      const sink = port.begin(read.size);
      handle.readShare(sink, share);
      this.unpark(read);
      port.answer([read]);
      answered++;
    }
    return answered;
  }
}
