/**
 * The kernel's end of /dev/fuse in memory: it writes requests as the kernel would, passes them to
 * Session and TreeHandlers as drivers/devfuse/request-server.ts does, and reads the replies. It
 * checks every reply: one for each request, of the length in its header, with the request's
 * `unique`.
 */
import * as assert from 'uvu/assert';
import { ControlWord } from '#native';
import { treeHandlers } from '../../../fs/drivers/devfuse/handlers/handlers.js';
import { InotifyHelperHandlers } from '../../../fs/drivers/devfuse/handlers/inotify-helper.js';
import type { Reads } from '../../../fs/drivers/devfuse/handlers/reads.js';
import { ParkedReads } from '../../../fs/drivers/devfuse/parked-reads.js';
import { ReplySink } from '../../../fs/drivers/devfuse/reply-sink.js';
import { TracedPort } from '../../../fs/drivers/devfuse/traced-port.js';
import { Errno, FsError, errnoName } from '../../../fs/shared/errors.js';
import { Arena, HEAP_PAGES, type Pages } from '../../../fs/bus/arena.js';
import { Bus } from '../../../fs/bus/bus.js';
import { Log } from '../../../fs/bus/log.js';
import { IdAllocator } from '../../../fs/shared/id-allocator.js';
import type { Sink } from '../../../fs/bus/sink.js';
import {
  FUSE_NOTIFY_POLL,
  FUSE_READ_LOCKOWNER,
  FUSE_ROOT_ID,
  Opcode,
} from '../../../fs/fuse/abi.js';
import { RequestTracer } from '../../../fs/fuse/describe/request-tracer.js';
import { Session } from '../../../fs/fuse/session.js';
import { REPLY_BYTES, REQUEST_BYTES } from '../../../fs/fuse/sizes.js';
import type { Recorder } from '../../../fs/state/recorder.js';
import { Owners } from '../../../fs/owners/owners.js';
import { type ReplyPort, interruptRead } from '../../../fs/tree/ports.js';
import type { TraceLine } from '../../../fs/shared/log/trace.js';
import type { Handle, NodeId, ParkedRead } from '../../../fs/tree/nodes/node.js';
import { Tree } from '../../../fs/tree/tree.js';
import { collecting } from './logger.js';
import { decode, encode, reader, sizeOf } from '../../unit/fuse/structs.js';

export type OpcodeName = keyof typeof Opcode;

/** The caller of a request; by default this process as root. */
export interface By {
  readonly pid?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** The error of a request that the session refused, by the errno's name. */
export class Refused extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

/** Whether {@link refusal} waits for an error. */
let isRefusalExpected = false;

/** Returns the error of a refusal. It has no stack if it is expected, since a stack takes long. */
function refused(code: string): Refused {
  const { stackTraceLimit } = Error;
  if (isRefusalExpected) Error.stackTraceLimit = 0;
  const error = new Refused(code);
  Error.stackTraceLimit = stackTraceLimit;
  return error;
}

/** The answer to a request; `body` follows the header. */
interface Answer {
  /** 0, or the positive errno. */
  readonly errno: number;
  readonly body: Buffer;
}

/** A read(2) that may still wait. */
export class Pending {
  answer: Answer | null = null;

  constructor(
    readonly unique: number,
    readonly fh: number,
  ) {}

  /**
   * The bytes read, one a character; the errno's name if the read failed, undefined while it waits.
   */
  get result(): string | undefined {
    if (this.answer === null) return undefined;
    return this.answer.errno === 0
      ? this.answer.body.toString('latin1')
      : errnoName(this.answer.errno);
  }
}

const errorOf = reader('fuse_out_header', 'error');
const lengthOf = reader('fuse_out_header', 'len');
const uniqueOf = reader('fuse_out_header', 'unique');
const requestUniqueOf = reader('fuse_in_header', 'unique');

const OUT_HEADER_BYTES = sizeOf('fuse_out_header');
/** The sizes of an arena's memory. */
const ARENA = { segmentBytes: 4 * 1024 * 1024, regionSegments: 1 };
/**
 * The memory of kernels that have ended, by size in bytes. A new kernel gets it with its old
 * contents.
 */
const spareMemory = new Map<number, Uint8Array[]>();
const MOST_DATA = REPLY_BYTES - 4096;

/** The sizes of a kernel's log, of its table of parked reads and of its history. */
export interface KernelOptions {
  readonly log?: { bytes: number; events: number };
  readonly mostParked?: number;
  /** Records the changes for a later kernel. */
  readonly recorder?: Recorder;
  /** The limits of the history that the bus keeps for `.since`. */
  readonly history?: { bytes: number; events: number };
}

/** The kernel's end of one connection: requests, replies and blocked reads. */
export class MemoryConnection implements ReplyPort, Reads {
  readonly owners = new Owners();
  readonly bus: Bus;
  readonly tree: Tree;
  readonly session: Session;
  readonly parked: ParkedReads;
  /** The session's messages about unexpected events. */
  readonly warnings: string[] = [];
  /** The tree's messages that no system call's result can carry. */
  readonly treeWarnings: string[] = [];
  /** The poll keys that NOTIFY_POLL has named. */
  readonly wakeUps: number[] = [];
  /** The number of reads in each answer to blocked reads. */
  readonly batches: number[] = [];
  ending = false;
  /** Whether blocked reads are answered after each request; otherwise only by `settle`. */
  settles = true;
  #unsettled = false;
  /** The memory to reuse after the kernel's end. */
  readonly #memory: Uint8Array[] = [];
  readonly #pages: Pages = { ...HEAP_PAGES, allocate: (bytes) => this.#allocate(bytes) };
  readonly #sink: ReplySink;
  readonly #control = new Uint32Array(ControlWord.count);
  /** The requests that have no reply yet, by `unique`. */
  readonly #open = new Map<number, Pending | null>();
  /** The high word is not 0, so that code that looks only at the low word fails. */
  #unique = 2 ** 34;

  constructor(options: KernelOptions = {}) {
    this.bus = new Bus(
      new Log(
        options.log ?? { bytes: 1024 * 1024, events: 4096 },
        new Arena(this.#pages, ARENA),
        options.recorder,
      ),
      new IdAllocator(FUSE_ROOT_ID),
      options.history,
    );
    this.tree = new Tree(this.bus, this.owners, collecting(this.treeWarnings));
    this.parked = new ParkedReads(options.mostParked ?? 1024, this.tree.ledger);
    const reply = this.#allocate(REPLY_BYTES);
    this.#sink = new ReplySink(reply, this.bus.log.memory, this.#control);
    const handlers = treeHandlers(this.tree, this);
    const helper = new InotifyHelperHandlers(this.tree, handlers);
    this.session = new Session(
      this.#allocate(REQUEST_BYTES),
      reply,
      handlers,
      collecting(this.warnings),
      helper,
    );
    this.tree.attach(this, () => (this.#unsettled = true));
  }

  /** Traces each request from now on. */
  traceTo(line: TraceLine): void {
    const tracer = new RequestTracer(line, (parent, name) =>
      this.tree.whyNotFound(parent as NodeId, name),
    );
    this.session.traceTo(tracer);
    this.tree.attach(
      new TracedPort(this, this.parked.uniques, tracer),
      () => (this.#unsettled = true),
    );
  }

  /** Closes the owners' pidfds. No request may follow. */
  close(): void {
    this.owners.close();
    for (const memory of this.#memory.splice(0)) {
      const spare = spareMemory.get(memory.length);
      if (spare === undefined) spareMemory.set(memory.length, [memory]);
      else spare.push(memory);
    }
  }

  #allocate(bytes: number): Uint8Array {
    const memory = spareMemory.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
    this.#memory.push(memory);
    return memory;
  }

  // ---- Reads and ReplyPort, as in drivers/devfuse/blocking-reads.ts, with memory as the channel

  sink(size: number): ReplySink {
    return this.#sink.begin(Math.min(size, MOST_DATA));
  }

  /** Whether each read that may wait is parked: never, since there was no daemon before. */
  readonly parksAll = false;

  get holds(): boolean {
    return this.#unsettled;
  }

  park(handle: Handle, size: number): ParkedRead {
    const words = new Uint32Array(this.session.request.bytes.buffer);
    const read = this.parked.park(words, handle, size);
    if (read === undefined) throw new FsError(Errno.EAGAIN, 'too many reads wait');
    const unique = this.#uniqueOf(read);
    if (!this.#open.has(unique)) this.#open.set(unique, null);
    return read;
  }

  streamOpened(): void {}

  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const read = this.parked.find(uniqueLow, uniqueHigh);
    if (read === undefined) return;
    interruptRead(this.tree.port, read);
  }

  begin(size: number): Sink {
    return this.sink(size);
  }

  answer(reads: readonly ParkedRead[]): void {
    this.#sink.end();
    const body = this.#withSlice(
      this.session.reply.bytes.slice(OUT_HEADER_BYTES, OUT_HEADER_BYTES + this.#sink.copied),
    );
    assert.ok(reads.length > 0, 'an answer without a read');
    this.batches.push(reads.length);
    for (const read of reads) {
      assert.ok(body.length <= read.size, `${body.length} bytes for a read of ${read.size}`);
      this.#finish(this.#uniqueOf(read), { errno: 0, body });
    }
    this.parked.freeAnswered(reads, body.length);
  }

  /** Does nothing: each answer is sent at once. */
  cork(): void {}
  uncork(): void {}

  fail(read: ParkedRead, errno: number): void {
    this.#finish(this.#uniqueOf(read), { errno, body: Buffer.alloc(0) });
    this.parked.free(read);
  }

  wake(handle: Handle): void {
    const length = this.session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh);
    const sent = Buffer.from(this.session.reply.bytes.slice(0, length));
    assert.equal(decode('fuse_out_header', sent), {
      len: length,
      error: FUSE_NOTIFY_POLL,
      unique: 0,
    });
    this.wakeUps.push(decode('fuse_notify_poll_wakeup_out', sent, OUT_HEADER_BYTES).kh);
  }

  #uniqueOf(read: ParkedRead): number {
    return Number(Buffer.from(this.parked.uniques.buffer).readBigUInt64LE(read.slot * 8));
  }

  /** Appends the slice of the log, as the channel would, and sets its control word back. */
  #withSlice(copied: Uint8Array): Buffer {
    const start = this.#control[ControlWord.sliceStart];
    const length = this.#control[ControlWord.sliceLength];
    this.#control[ControlWord.sliceLength] = 0;
    assert.ok(start + length <= this.bus.log.memory.length);
    return Buffer.concat([copied, this.bus.log.memory.subarray(start, start + length)]);
  }

  #finish(unique: number, answer: Answer): void {
    assert.ok(
      this.#open.has(unique),
      `a second answer to request ${unique}, or one without a request`,
    );
    const pending = this.#open.get(unique) ?? null;
    this.#open.delete(unique);
    if (pending !== null) pending.answer = answer;
  }

  // ---- requests

  /**
   * Drains the deaths, and frees the memory that the tree would free in later turns. A turn may
   * complete a file in a queue, and the daemon drains the deaths before the request that comes
   * after the turn.
   */
  drain(): void {
    this.owners.drain();
    while (this.tree.turns.pending > 0) {
      this.tree.turns.finish();
      this.owners.drain();
    }
  }

  /**
   * Passes the bytes of one request unchanged to the session, after the deaths that came before it.
   * Then it answers blocked reads, if `settles`.
   * @returns the reply, or null if there is none
   */
  raw(request: Uint8Array): Buffer | null {
    this.session.request.bytes.set(request);
    this.drain();
    const length = this.session.dispatch(request.length);
    assert.ok(length === 0 || length >= OUT_HEADER_BYTES, `a reply of ${length} bytes`);
    if (length === 0)
      assert.is(this.#control[ControlWord.sliceLength], 0, 'a slice without a reply');
    // The later turns write notifications to the reply's memory, so it is copied before.
    const reply = length === 0 ? null : this.#withSlice(this.session.reply.bytes.slice(0, length));
    // The clock decides what is freed in later turns; a test must not depend on it.
    this.tree.turns.finish();
    if (reply !== null) {
      const error = errorOf(reply);
      const len = lengthOf(reply);
      assert.is(len, reply.length);
      assert.ok(error <= 0 && error > -512, `error ${error}`);
      assert.ok(error === 0 || len === OUT_HEADER_BYTES, 'an error with something behind it');
      assert.is(uniqueOf(reply), requestUniqueOf(bufferOf(request)));
    }
    if (this.settles) this.settle();
    return reply;
  }

  /** Wakes blocked readers, as the channel does once it has answered a run of requests. */
  settle(): void {
    while (this.#unsettled) {
      this.#unsettled = false;
      this.bus.settleSome();
    }
  }

  /**
   * Returns the bytes of a request.
   * @param unique a new one by default
   */
  request(
    opcode: OpcodeName | number,
    nodeid: number,
    payload: Uint8Array,
    by: By = {},
    unique = this.nextUnique(),
  ): Buffer {
    const header = encode('fuse_in_header', {
      len: sizeOf('fuse_in_header') + payload.length,
      opcode: typeof opcode === 'number' ? opcode : Opcode[opcode],
      unique,
      nodeid,
      uid: by.uid ?? 0,
      gid: by.gid ?? 0,
      pid: by.pid ?? process.pid,
    });
    return Buffer.concat([header, payload]);
  }

  /** Returns a new `unique`. It is even, as the kernel's are. */
  nextUnique(): number {
    return (this.#unique += 2);
  }

  /** Makes a request that is answered at once. */
  try(opcode: OpcodeName | number, nodeid: number, payload: Uint8Array, by: By = {}): Answer {
    const reply = this.raw(this.request(opcode, nodeid, payload, by));
    assert.ok(reply !== null, `${opcode} was not answered`);
    return {
      errno: -errorOf(reply),
      body: reply.subarray(OUT_HEADER_BYTES),
    };
  }

  /**
   * Makes a request that must succeed.
   * @returns the reply's body
   * @throws Refused with the errno's name
   */
  ask(opcode: OpcodeName | number, nodeid: number, payload: Uint8Array, by: By = {}): Buffer {
    const { errno, body } = this.try(opcode, nodeid, payload, by);
    if (errno !== 0) throw refused(errnoName(errno));
    return body;
  }

  /** Makes a request that has no reply. */
  tell(opcode: OpcodeName, nodeid: number, payload: Uint8Array): void {
    assert.is(this.raw(this.request(opcode, nodeid, payload)), null);
  }

  /** Makes a FUSE_READ, which may wait. */
  protected makeRead(
    fh: number,
    size: number,
    offset: number,
    flags: number,
    readFlags: number = FUSE_READ_LOCKOWNER,
    by: By = {},
  ): Pending {
    const payload = encode('fuse_read_in', { fh, offset, size, flags, read_flags: readFlags });
    const unique = this.nextUnique();
    const pending = new Pending(unique, fh);
    this.#open.set(unique, pending);
    const parkedBefore = this.parked.size;
    const reply = this.raw(this.request('FUSE_READ', 0, payload, by, unique));
    if (reply === null) {
      assert.ok(
        pending.answer !== null || this.parked.size > parkedBefore,
        'the read neither waits nor has an answer',
      );
      return pending;
    }
    const answer = {
      errno: -errorOf(reply),
      body: reply.subarray(OUT_HEADER_BYTES),
    };
    assert.ok(answer.body.length <= size, `${answer.body.length} bytes for a read of ${size}`);
    this.#finish(unique, answer);
    return pending;
  }

  /** The number of requests without a reply. */
  get unanswered(): number {
    return this.#open.size;
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Calls `call`.
 * @returns the errno's name that it is refused with, or 'none'
 */
export function refusal(call: () => unknown): string {
  isRefusalExpected = true;
  try {
    call();
    return 'none';
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  } finally {
    isRefusalExpected = false;
  }
}
