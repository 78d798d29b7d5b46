/** A process directory's `.stream`: reading it takes events off the queue. */
import { type Entry, type Queue, QueueReader } from '../../bus/queue.js';
import type { LogIndex } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import type { ReplyPort } from '../ports.js';
import { Handle, type ParkedRead, Poll } from '../nodes/node.js';
import { QUEUE_STREAM_PRICE } from '../prices.js';
import type { QuotaAccount } from '../quota.js';
import { STREAM_BYTES } from './streams.js';
import { DotFile, type DotFileHost } from '../nodes/text-file.js';
import { Waiters } from './waiters.js';

/** A directory whose queue can be read. */
export interface QueueDirectory extends DotFileHost {
  readonly queue: Queue<Entry>;
  readonly readers: QueueReaders;
  /** The number in the log from which on nobody has been told. */
  readonly settledBefore: LogIndex;
  /** A reader is about to get what is in here: checks that no owner's death was missed. */
  beforeAnswer(): void;
  /** Its contents have changed. */
  changed(): void;
  /** Its readers are answered when others are. */
  unsettle(): void;
}

export class QueueStreamFile extends DotFile<QueueDirectory> {
  /** Whoever may read and change the directory may take events off it: each class needs r and w. */
  get permissions(): number {
    const { mode } = this.directory;
    return mode & 0o444 & ((mode & 0o222) << 1);
  }

  override get size(): number {
    return STREAM_BYTES;
  }

  /** EDQUOT, ENOSPC. */
  override open(_flags: number, caller: Caller): Handle {
    const account = this.directory.ledger.account(caller.uid, caller.gid);
    account.chargeAll(QUEUE_STREAM_PRICE);
    return new QueueStreamHandle(this, account);
  }
}

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

  override get isStream(): boolean {
    return true;
  }

  get ready(): boolean {
    return this.#reader.ready;
  }

  override read(_offset: number, sink: Sink): boolean {
    if (!this.#reader.ready) return false;
    this.node.directory.beforeAnswer();
    this.assertRestFits(sink.room);
    this.#reader.read(sink);
    this.chargeRest();
    this.node.directory.changed();
    return true;
  }

  /** Its share of what has come while it waited. */
  readShare(sink: Sink, most: number): void {
    this.node.directory.beforeAnswer();
    this.#reader.read(sink, most);
    this.chargeRest();
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

/** Who waits for a process directory's events. */
export class QueueReaders extends Waiters {
  /** How many `.stream`s are open. */
  opened = 0;

  /**
   * Answers blocked reads, which share the events in order, and wakes the pollers.
   * @param complete how many events can be taken
   * @param most how many reads to answer
   * @returns how many it answered
   */
  settle(port: ReplyPort, complete: number, most: number): number {
    this.wakePollers(port, Infinity);
    let answered = 0;
    for (const read of this.reads) {
      if (answered === most) break;
      const handle = read.handle as QueueStreamHandle;
      if (!handle.ready) continue; // one behind it may be: another read of its open file was cut
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
