/**
 * A daemon on a state in memory, with a kernel that sends unanswered requests again after a crash:
 * the driver's own classes, with memory as the channel.
 */
import * as assert from 'uvu/assert';
import { ControlWord, type FuseChannel, RequestOutcome, SettleState } from '#native';
import { BlockingReads } from '../../../fs/drivers/devfuse/blocking-reads.js';
import { treeHandlers } from '../../../fs/drivers/devfuse/handlers/handlers.js';
import { Recovery } from '../../../fs/drivers/devfuse/hand-over/recovery.js';
import { Arena } from '../../../fs/bus/arena.js';
import { Bus } from '../../../fs/bus/bus.js';
import { Log } from '../../../fs/bus/log.js';
import { FUSE_KERNEL_MINOR_VERSION, FUSE_ROOT_ID, Opcode } from '../../../fs/fuse/abi.js';
import { Session } from '../../../fs/fuse/session.js';
import { REPLY_BYTES, REQUEST_BYTES } from '../../../fs/fuse/sizes.js';
import { Owners } from '../../../fs/owners/owners.js';
import { IdAllocator } from '../../../fs/shared/id-allocator.js';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, type StateMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { Tree } from '../../../fs/tree/tree.js';
import { collecting } from '../../support/memory/logger.js';
import { encode, reader, sizeOf } from '../fuse/structs.js';
import { SIZES, copyOf, newMemory } from './guarded-kernel.js';

const HEADER = sizeOf('fuse_out_header');
/** The highest byte of `unique`, in which bit 63 marks a request that is sent again. */
const HIGHEST_BYTE = 15;
const errorOf = reader('fuse_out_header', 'error');
const uniqueAt = (bytes: Uint8Array, at: number): bigint => Buffer.from(bytes).readBigUInt64LE(at);

/** A request of a client. */
interface Request {
  readonly bytes: Buffer;
  readonly onReply: (errno: number, body: string) => void;
}

/** The kernel: the requests that have no reply yet. */
export class Kernel {
  /** The requests that no daemon has read, in order. */
  readonly pending: Request[] = [];
  /** The requests that a daemon has read, by `unique`. */
  readonly #processing = new Map<bigint, Request>();
  #unique = 0;

  /** Sends a request. */
  send(
    opcode: keyof typeof Opcode,
    nodeid: number,
    payload: Uint8Array,
    onReply: (errno: number, body: string) => void,
  ): void {
    const header = encode('fuse_in_header', {
      len: sizeOf('fuse_in_header') + payload.length,
      opcode: Opcode[opcode],
      unique: (this.#unique += 2),
      nodeid,
      pid: process.pid,
    });
    this.pending.push({ bytes: Buffer.concat([header, payload]), onReply });
  }

  /** Hands the next request to the daemon, or returns undefined. */
  read(): Buffer | undefined {
    const request = this.pending.shift();
    if (request === undefined) return undefined;
    this.#processing.set(uniqueAt(request.bytes, 8), request);
    return request.bytes;
  }

  /** Takes a reply: a header and the body. */
  reply(bytes: Buffer): void {
    const unique = uniqueAt(bytes, 8);
    const request = this.#processing.get(unique);
    assert.ok(request !== undefined, `a second reply to ${unique}, or one without a request`);
    this.#processing.delete(unique);
    request.onReply(-errorOf(bytes), bytes.toString('latin1', HEADER));
  }

  /**
   * FUSE_NOTIFY_RESEND.
   * @param order returns a number by which the requests are sorted
   */
  resend(order: () => number): void {
    const all = [...this.#processing.values()].map((request) => ({ request, at: order() }));
    this.#processing.clear();
    all.sort((a, b) => a.at - b.at);
    for (const { request } of all) request.bytes[HIGHEST_BYTE] |= 0x80;
    this.pending.unshift(...all.map(({ request }) => request));
  }
}

/** One daemon. */
export class CrashingDaemon {
  readonly tree: Tree;
  readonly warnings: string[] = [];
  /** The state as the crash has left it; null before. */
  left: StateMemory | null = null;
  readonly #owners = new Owners();
  readonly #session: Session;
  readonly #reads: BlockingReads;
  readonly #recovery: Recovery;
  readonly #journal: Journal;
  readonly #control = new Uint32Array(ControlWord.count);
  readonly #reply = new Uint8Array(REPLY_BYTES);
  #queued: Buffer[] = [];
  /** The number of stores before the daemon crashes; it never crashes if this is negative. */
  #stores = -1;

  /**
   * @param kernel its requests are served
   * @param memory the state of the last daemon; null to begin a new one
   */
  constructor(
    private readonly kernel: Kernel,
    private readonly memory: StateMemory,
    isFirst: boolean,
  ) {
    this.#journal = isFirst ? Journal.create(memory, SIZES) : new Journal(StateLayout.open(memory));
    const recorder = new Recorder(this.#journal);
    const log = new Log({ bytes: SIZES.ring, events: 4096 }, new Arena(), recorder);
    const bus = new Bus(log, new IdAllocator(FUSE_ROOT_ID));
    const logger = collecting(this.warnings);
    this.tree = new Tree(bus, this.#owners, logger);
    const table = isFirst ? null : new StateTable(this.#journal.layout);
    if (table !== null) restoreTree(this.tree, table);
    this.#recovery = new Recovery(recorder, table);
    recorder.commit();
    const request = new Uint8Array(REQUEST_BYTES);
    this.#reads = new BlockingReads(
      this.tree,
      request,
      this.#reply,
      this.#control,
      this.#recovery,
      () => undefined,
    );
    const handlers = treeHandlers(this.tree, this.#reads);
    this.#session = new Session(request, this.#reply, handlers, logger);
    this.#session.adopt(FUSE_KERNEL_MINOR_VERSION);
    this.#reads.open(this.#channel as unknown as FuseChannel);
    this.tree.attach(this.#reads, () => (this.#control[ControlWord.settle] = SettleState.pending));
  }

  /** Starts the first daemon. */
  static first(kernel: Kernel): CrashingDaemon {
    return new CrashingDaemon(kernel, newMemory(), true);
  }

  /** Starts the daemon after this one, which has crashed. */
  next(): CrashingDaemon {
    this.#owners.close();
    return new CrashingDaemon(this.kernel, this.left!, false);
  }

  /** Lets the daemon crash at one of the next stores to the journal, or now with 0. */
  crashAfter(stores: number): void {
    this.#stores = stores;
    this.#mayCrash();
    this.#journal.onStore = () => this.#mayCrash();
  }

  /** Crashes if it is time. */
  #mayCrash(): void {
    if (this.#stores-- === 0 && this.left === null) this.left = copyOf(this.memory);
  }

  /** Takes the crash back, if it has not happened. */
  survive(): void {
    this.#journal.onStore = null;
    this.#stores = -1;
  }

  /**
   * Serves one request, or tells that none waits.
   * @returns whether there was a request
   */
  serveOne(): boolean {
    const bytes = this.kernel.read();
    if (bytes === undefined) {
      this.#recovery.end();
      return false;
    }
    this.#owners.drain();
    const control = this.#control;
    this.#session.request.bytes.set(bytes);
    control[ControlWord.outcome] = RequestOutcome.noReply;
    const length = this.#reads.transactions!.serve(this.#session, bytes.length, this.#reads);
    if (length > 0) this.#send(this.#reply.slice(0, length));
    this.tree.turns.finish();
    return true;
  }

  /** Answers readers for which events have come. */
  settle(): void {
    const control = this.#control;
    if (control[ControlWord.settle] === SettleState.settled) return;
    control[ControlWord.settle] = SettleState.settled;
    if (this.#recovery.isOver) this.tree.bus.settleSome();
  }

  /** Sends a reply whose last part is the slice that `control` describes. */
  #send(copied: Uint8Array): void {
    this.#mayCrash();
    if (this.left === null) this.kernel.reply(this.#withSlice(copied));
  }

  #withSlice(copied: Uint8Array): Buffer {
    const control = this.#control;
    const start = control[ControlWord.sliceStart];
    const length = control[ControlWord.sliceLength];
    control[ControlWord.sliceLength] = 0;
    return Buffer.concat([copied, this.tree.bus.log.memory.subarray(start, start + length)]);
  }

  readonly #channel = {
    answer: (slots: Uint32Array, count: number, length: number): void => {
      const body = this.#withSlice(this.#reply.slice(HEADER, HEADER + length));
      for (let n = 0; n < count; n++) this.#queued.push(this.#answer(slots[n], 0, body));
    },
    uncork: (): void => {
      const queued = this.#queued;
      this.#queued = [];
      this.#mayCrash();
      if (this.left === null) for (const reply of queued) this.kernel.reply(reply);
    },
    fail: (slot: number, errno: number): void => {
      this.#mayCrash();
      if (this.left === null) this.kernel.reply(this.#answer(slot, -errno, Buffer.alloc(0)));
    },
  };

  #answer(slot: number, error: number, body: Buffer): Buffer {
    const header = encode('fuse_out_header', { len: HEADER + body.length, error });
    const uniques = this.#reads.parked.uniques;
    header.set(uniques.subarray(8 * slot, 8 * slot + 8), 8);
    return Buffer.concat([header, body]);
  }

  /** Closes the owners' descriptors. */
  close(): void {
    this.#owners.close();
  }
}
