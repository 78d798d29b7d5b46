/**
 * The daemon of the simulation: the real tree, owners, bus, session and blocking reads, with the
 * simulated device as its channel.
 */
import * as assert from 'uvu/assert';
import { ControlWord, type FuseChannel, RequestOutcome, SettleState } from '#native';
import { BlockingReads } from '../../../fs/drivers/devfuse/blocking-reads.js';
import { treeHandlers } from '../../../fs/drivers/devfuse/handlers/handlers.js';
import { Bus } from '../../../fs/bus/bus.js';
import { Log } from '../../../fs/bus/log.js';
import { Arena, HEAP_PAGES } from '../../../fs/bus/arena.js';
import { Recovery } from '../../../fs/drivers/devfuse/hand-over/recovery.js';
import type { Journal } from '../../../fs/state/journal.js';
import { type Recorded, Recorder } from '../../../fs/state/recorder.js';
import type { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { FUSE_KERNEL_MINOR_VERSION, FUSE_ROOT_ID } from '../../../fs/fuse/abi.js';
import { Session } from '../../../fs/fuse/session.js';
import { REPLY_BYTES, REQUEST_BYTES } from '../../../fs/fuse/sizes.js';
import { Owners } from '../../../fs/owners/owners.js';
import { IdAllocator } from '../../../fs/shared/id-allocator.js';
import type { SeqNum } from '../../../fs/uevent/text.js';
import { Tree } from '../../../fs/tree/tree.js';
import { clock } from '../../../fs/shared/clock.js';
import { NO_BOUNDS, type Bounds } from '../../../fs/tree/quota/bounds.js';
import { UeventText } from '../../../fs/uevent/text.js';
import type { ModelSettings } from '../model/model.js';
import type { Most } from '../model/quota.js';
import type { Device, Read } from './device.js';
import type { Mail } from './uevents.js';

const OUT_HEADER_BYTES = 16;
/** A segment holds a few of the largest events: a simulated daemon lives for a moment only. */
const ARENA = { segmentBytes: 256 * 1024, regionSegments: 1 };
/** The minor version that INIT negotiates. */
const protocolMinor = FUSE_KERNEL_MINOR_VERSION;

/** The memory that each daemon uses in turn: a simulation has one daemon at a time. */
const requestMemory = new Uint8Array(REQUEST_BYTES);
const replyMemory = new Uint8Array(REPLY_BYTES);
const replyText = Buffer.from(replyMemory.buffer);

/** The memory that the device writes requests to. */
export { requestMemory };

function boundsOf(most: Most): Bounds {
  return { ...most, memory: Infinity, filter_cost: Infinity };
}

/** The daemon is killed. */
export class Crash extends Error {
  override readonly name = 'Crash';
}

/** The simulation, as a daemon tells it of its work. */
export interface Observer {
  /** Called before everything that outlives the daemon: throws a Crash to kill it there. */
  atPoint(): void;
  /** Called when a request is served: with a reply, parked (null), or without a reply. */
  served(read: Read, outcome: 'replied' | 'parked' | 'noReply'): void;
  /** Called when the daemon has logged a message. */
  logged(message: string): void;
}

/** One daemon. */
export class SimDaemon {
  readonly owners: Owners;
  readonly bus: Bus;
  readonly tree: Tree;
  readonly reads: BlockingReads;
  readonly session: Session;
  readonly recorder: Recorder | null;
  readonly recovery: Recovery;
  readonly #control = new Uint32Array(ControlWord.count);
  /** Whether a request was served after the channel has woken readers. */
  #hasServed = false;
  readonly #text = new UeventText();
  readonly #source: Recorded = {
    isMarked: false,
    record: (journal) => this.#mail?.record(journal),
  };
  #mail: Mail | null;

  /** @param mail what the last daemon has left in the mailbox */
  constructor(
    readonly settings: ModelSettings,
    private readonly device: Device,
    private readonly observer: Observer,
    journal: Journal | null = null,
    table: StateTable | null = null,
    mail: Mail | null = null,
  ) {
    this.#mail = mail;
    const log = (message: string, error?: unknown): void =>
      observer.logged(error instanceof Error ? `${message}: ${error.stack}` : message);
    const logger = { error: log, warn: log, info: log, debug: () => undefined };
    this.owners = new Owners();
    const { ring, history, queue, mount, perUser } = settings;
    const recorder = journal === null ? null : new Recorder(journal);
    this.recorder = recorder;
    recorder?.attach(this.#source);
    if (journal !== null) journal.onStore = () => observer.atPoint();
    this.bus = new Bus(
      new Log(ring, new Arena(HEAP_PAGES, ARENA), recorder),
      new IdAllocator(FUSE_ROOT_ID),
      history,
    );
    this.tree = new Tree(this.bus, this.owners, logger);
    this.owners.endings.postponeBy((task) => this.tree.turns.add(task));
    this.tree.deliveries.settleAloneBy(() =>
      clock.soon(() => void (this.recovery.isOver && this.bus.settle())),
    );
    this.tree.configure({
      queueLimits: {
        events: queue.events,
        bytes: queue.bytes,
        overflow: queue.dropsOldest ? 'drop-oldest' : 'refuse',
      },
    });
    this.tree.ledger.setQuotas({
      mount: boundsOf(mount),
      uid: { others: boundsOf(perUser), of: new Map() },
      gid: { others: NO_BOUNDS, of: new Map() },
    });
    recorder?.freeze();
    if (table !== null) restoreTree(this.tree, table);
    this.recovery = new Recovery(recorder, table);
    this.reads = new BlockingReads(
      this.tree,
      requestMemory,
      replyMemory,
      this.#control,
      this.recovery,
      (handle) =>
        this.#notify(this.session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh)),
    );
    this.session = new Session(
      requestMemory,
      replyMemory,
      treeHandlers(this.tree, this.reads),
      logger,
    );
    if (table !== null) this.session.adopt(protocolMinor);
    this.reads.open(this.#channel());
    this.tree.attach(this.reads, () => (this.#control[ControlWord.settle] = SettleState.pending));
  }

  #channel(): FuseChannel {
    type Used = 'answer' | 'fail' | 'uncork' | 'expectBlocked' | 'dropAhead';
    const channel: Pick<FuseChannel, Used> = {
      answer: (slots, count, length) => this.#answer(slots, count, length),
      fail: (slot, errno) => this.#reply(slot, errno, Buffer.alloc(0)),
      uncork: () => undefined,
      expectBlocked: () => undefined,
      dropAhead: () => undefined, // it reads nothing ahead
    };
    return channel as FuseChannel;
  }

  #answer(slots: Uint32Array, count: number, length: number): void {
    const body = Buffer.from(this.#withSlice(OUT_HEADER_BYTES, OUT_HEADER_BYTES + length));
    for (let n = 0; n < count; n++) this.#reply(slots[n], 0, body);
  }

  #reply(slot: number, errno: number, body: Buffer): void {
    this.observer.atPoint();
    const { uniques } = this.reads.parked;
    const words = new Uint32Array(uniques.buffer, slot * 8, 2);
    this.device.reply(words[0], words[1], { errno, body });
  }

  /** Returns bytes of the reply's memory, and the slice of the log that ends the reply. */
  #withSlice(from: number, to: number): Buffer {
    const control = this.#control;
    const start = control[ControlWord.sliceStart];
    const length = control[ControlWord.sliceLength];
    control[ControlWord.sliceLength] = 0;
    const own = replyText.subarray(from, to);
    if (length === 0) return own;
    const { memory } = this.bus.log;
    assert.ok(start + length <= memory.length, 'a slice behind the end of the log');
    return Buffer.concat([own, memory.subarray(start, start + length)]);
  }

  #notify(length: number): void {
    this.observer.atPoint();
    this.device.write(replyMemory.subarray(0, length));
  }

  /** Begins to serve: from now on the changes of the daemon count. */
  begin(): void {
    this.recorder?.thaw();
  }

  /** Whether readers have to be woken. */
  get isUnsettled(): boolean {
    return this.#control[ControlWord.settle] !== SettleState.settled;
  }

  /**
   * Whether the channel will wake readers without a further request: it looks behind a run of them.
   */
  get settles(): boolean {
    return this.#hasServed && this.isUnsettled;
  }

  /** Reads and serves one request; returns false if there is none. */
  serve(): boolean {
    const length = this.device.read();
    if (length > 0 || !this.recovery.isOver) this.#hasServed = true;
    if (length === 0) {
      this.recovery.end();
      return false;
    }
    this.#drain();
    const control = this.#control;
    control[ControlWord.outcome] = RequestOutcome.noReply;
    const read = this.device.last!;
    const { transactions } = this.reads;
    const replyLength =
      transactions === null
        ? this.session.dispatch(length)
        : transactions.serve(this.session, length, this.reads);
    if (replyLength > 0) {
      this.observer.atPoint();
      const bytes = this.#withSlice(0, replyLength);
      this.device.write(bytes);
      this.observer.served(read, 'replied');
    } else {
      assert.is(control[ControlWord.sliceLength], 0, 'a slice without a reply');
      const isParked = control[ControlWord.outcome] === RequestOutcome.parked;
      this.observer.served(read, isParked ? 'parked' : 'noReply');
    }
    this.tree.turns.finish();
    return true;
  }

  /**
   * Drains the deaths, and frees the memory that the tree would free in later turns: the clock
   * decides which turns come later. A turn may complete a file in a queue, and the daemon drains
   * the deaths before the request that comes after the turn.
   */
  #drain(): void {
    this.owners.drain();
    while (this.tree.turns.pending > 0) {
      this.tree.turns.finish();
      this.owners.drain();
    }
  }

  /** Wakes readers, as the channel does after a run of requests. */
  settle(): void {
    this.#control[ControlWord.settle] = SettleState.settled;
    this.#hasServed = false;
    if (this.recovery.isOver) this.bus.settleSome();
  }

  /**
   * Takes the datagrams of one recvmmsg(2) from the mailbox, each in a transaction of its own; a
   * number stands for a loss.
   *
   * @param took called when a datagram is done
   */
  take(mail: Mail, took: () => void): void {
    this.#mail = mail;
    while (mail.done < mail.items.length) {
      const one = mail.items[mail.done++];
      if (typeof one.datagram === 'number') this.bus.publishLoss(one.datagram);
      else {
        this.#text.readDatagram(one.datagram, 0, one.datagram.length);
        this.bus.publishKernel(this.#text);
      }
      this.recorder?.changed(this.#source);
      this.recorder?.commit();
      took();
    }
    this.bus.settle();
  }

  beginAfter(seqnum: number): void {
    this.bus.beginAfter(seqnum as SeqNum);
  }
}
