/** A process directory's `.stream`: reading it takes events off the queue. */
import { QueueReader } from '../../bus/queue.js';
import type { Sink } from '../../bus/sink.js';
import { Errno } from '../../shared/errors.js';
import type { Caller } from '../../owners/owners.js';
import type { Door } from '../ports.js';
import { Handle, type ParkedRead, Poll } from '../handle.js';
import type { ProcessDirectory } from '../nodes/process-directory.js';
import { QUEUE_STREAM_PRICE } from '../prices.js';
import type { Tab } from '../quota.js';
import { STREAM_BYTES } from './streams.js';
import { DotFile } from '../nodes/text-file.js';

export class QueueStreamFile extends DotFile<ProcessDirectory> {
  /** Whoever may read and change the directory may take events off it: each class needs r and w. */
  get permissions(): number {
    const { mode } = this.directory;
    return (mode & 0o444) & ((mode & 0o222) << 1);
  }

  override get size(): number {
    return STREAM_BYTES;
  }

  /** EDQUOT, ENOSPC. */
  override open(_flags: number, caller: Caller): Handle {
    const tab = this.directory.ledger.tab(caller.uid, caller.gid);
    tab.claimAll(QUEUE_STREAM_PRICE);
    return new QueueStreamHandle(this, tab);
  }
}

export class QueueStreamHandle extends Handle {
  readonly #reader: QueueReader;

  constructor(
    override readonly node: QueueStreamFile,
    private readonly streamTab: Tab,
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
    this.demandRest(sink.room);
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
    directory.readers.waiting.add(read);
    if (this.ready) directory.unsettle();
  }

  override unpark(read: ParkedRead): void {
    this.node.directory.readers.waiting.delete(read);
  }

  override poll(): number {
    return this.#reader.ready ? Poll.in | Poll.readNormal : 0;
  }

  override watch(): void {
    this.node.directory.readers.pollers.add(this);
  }

  override release(): void {
    const { readers } = this.node.directory;
    readers.opened--;
    this.streamTab.unclaimAll(QUEUE_STREAM_PRICE);
    readers.pollers.delete(this);
  }
}

/** Who waits for a process directory's events. */
export class QueueReaders {
  /** How many `.stream`s are open. */
  opened = 0;
  readonly waiting = new Set<ParkedRead>();
  readonly pollers = new Set<Handle>();

  /** Whether an event that comes now must be told of. */
  get any(): boolean {
    return this.waiting.size > 0 || this.pollers.size > 0;
  }

  /**
   * Answers blocked reads, which share the events in order, and wakes the pollers.
   * @param complete how many events can be taken
   * @param most how many reads to answer
   * @returns how many it answered
   */
  settle(door: Door, complete: number, most: number): number {
    this.#wakePollers(door, Infinity);
    let answered = 0;
    for (const read of this.waiting) {
      if (answered === most) break;
      const handle = read.handle as QueueStreamHandle;
      if (!handle.ready) continue; // one behind it may be: another read of its open file was cut
      const share = Math.max(1, Math.ceil(complete / this.waiting.size));
      complete -= share;
      const sink = door.begin(read.size);
      handle.readShare(sink, share);
      this.waiting.delete(read);
      door.answer([read]);
      answered++;
    }
    return answered;
  }

  /**
   * The directory has ended: fails some blocked reads with ESTALE and wakes some pollers.
   * @param most how many of each
   * @returns whether none is left
   */
  endSome(door: Door, most: number): boolean {
    let left = most;
    for (const read of this.waiting) {
      if (left-- === 0) return false;
      this.waiting.delete(read);
      door.fail(read, Errno.ESTALE);
    }
    return this.#wakePollers(door, most);
  }

  /** @returns whether all pollers have been woken */
  #wakePollers(door: Door, most: number): boolean {
    let left = most;
    for (const handle of this.pollers) {
      if (left-- === 0) return false;
      this.pollers.delete(handle);
      door.wake(handle);
    }
    return true;
  }
}
