/**
 * One connection: INIT is negotiated, then each request finds its handler and gets exactly one reply, whatever the
 * handler does. Pure: it reads and writes memory, and somebody else carries that to /dev/fuse.
 */
import { endianness } from 'node:os';
import { Errno, FsError } from '../shared/errors.js';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_NO_EXPORT_SUPPORT,
  FUSE_OVER_IO_URING,
  InitFlag,
  OLDEST_MINOR_VERSION,
  Opcode,
  Size,
} from './abi.js';
import {
  DONE,
  type Handler,
  type Handlers,
  NO_REPLY,
  OPERATIONS,
  opcodeName,
  operationOf,
} from './opcodes.js';
import { Reply } from './reply.js';
import type { RequestTracer } from './request-tracer.js';
import { Request, ShortRequest } from './request.js';
import type { Logger } from '../shared/logger.js';

/** The most that one WRITE carries: more than the largest event. */
export const MAX_WRITE_BYTES = 128 * 1024;
/** The most pages of one READ: 1 MiB, so that a reader that lags gets many events at once (fuse_init_out.max_pages). */
const MAX_PAGES = 256;
const PAGE_BYTES = 4096;
const MAX_BACKGROUND = 64;
/**
 * A READ of so many bytes may be the most that the kernel can ask for at once, and the caller may want
 * more: its buffer need not begin where a page does.
 */
export const LONG_READ_BYTES = (MAX_PAGES - 1) * PAGE_BYTES;

/** How large the two buffers must be. */
export const REQUEST_BYTES = MAX_WRITE_BYTES + PAGE_BYTES;
export const REPLY_BYTES = MAX_PAGES * PAGE_BYTES + PAGE_BYTES;
/** The most that one request or one reply carries behind its fixed part. */
export const PAYLOAD_BYTES = Math.max(MAX_WRITE_BYTES, MAX_PAGES * PAGE_BYTES);

/** What we ask for, where the kernel offers it. FUSE_NO_OPENDIR_SUPPORT and FUSE_CACHE_SYMLINKS never (docs/design.md, section 4). */
const WANTED_FLAGS =
  bit(InitFlag.FUSE_ASYNC_READ) |
  bit(InitFlag.FUSE_ATOMIC_O_TRUNC) |
  bit(InitFlag.FUSE_BIG_WRITES) |
  bit(InitFlag.FUSE_PARALLEL_DIROPS) |
  bit(InitFlag.FUSE_ABORT_ERROR) |
  bit(InitFlag.FUSE_MAX_PAGES);

function bit(n: number): number {
  return 1 << n;
}

/** A process whose requests mean something else than those of all others: it has handlers of its own. */
export interface SpecialCaller {
  /** -1 while there is none. */
  readonly pid: number;
  readonly handlers: Handlers;
}

/** What the driver is told of the negotiation. */
export interface Negotiation {
  /** The kernel and we have agreed. */
  onNegotiated(): void;
  /**
   * The kernel offers io_uring.
   * @returns whether we take it: then it is set up by now
   */
  onRingOffered(): boolean;
}

export class Session {
  readonly request: Request;
  readonly reply: Reply;
  /** What the kernel and we agreed on, or -1 before INIT. */
  minor = -1;
  #negotiation: Negotiation | null = null;
  readonly #serve: (Handler | undefined)[];
  readonly #serveSpecial: (Handler | undefined)[];
  #tracer: RequestTracer | null = null;
  /** The kernel and we have agreed, and nobody traces: then a request needs nothing but its handler. */
  #isPlain = false;

  /**
   * @param requestBytes at least REQUEST_BYTES
   * @param replyBytes at least REPLY_BYTES
   * @param special a caller that `handlers` do not serve
   */
  constructor(
    requestBytes: Uint8Array,
    replyBytes: Uint8Array,
    handlers: Handlers,
    private readonly logger: Logger,
    private readonly special: SpecialCaller = { pid: -1, handlers },
  ) {
    if (endianness() !== 'LE')
      throw new Error('this machine is big-endian, which is not supported');
    this.request = new Request(requestBytes);
    this.reply = new Reply(replyBytes, requestBytes);
    this.#serve = byOpcode(handlers);
    this.#serveSpecial = byOpcode(special.handlers);
  }

  /** A driver is there, before INIT comes. */
  attach(negotiation: Negotiation): void {
    this.#negotiation = negotiation;
  }

  /** Tells a tracer of each request from now on, or nobody. */
  traceTo(tracer: RequestTracer | null): void {
    this.#tracer = tracer;
    this.#isPlain = this.minor >= 0 && tracer === null;
  }

  /** Answers the request of `length` bytes in memory; gives the reply's length, or 0 for none. Never throws. */
  dispatch(length: number): number {
    if (!this.#isPlain) return this.#dispatchNotPlain(length);
    const { request, reply } = this;
    const opcode = length < Size.fuse_in_header ? -1 : request.opcode;
    try {
      request.begin(length);
      reply.begin();
      const operation = operationOf[opcode];
      if (operation === undefined)
        return reply.error(reply.refuse(Errno.ENOSYS, 'it is not served'));
      if (request.rest < operation.inBytes)
        throw new ShortRequest(`it has only ${request.rest} bytes behind its header`);
      const serve = request.pid === this.special.pid ? this.#serveSpecial : this.#serve;
      const outcome = serve[opcode]!(request, reply);
      if (outcome === DONE) return reply.end();
      return outcome === NO_REPLY ? 0 : reply.error(outcome);
    } catch (error) {
      return this.#failed(opcode, error);
    }
  }

  /** Before INIT, or traced. */
  #dispatchNotPlain(length: number): number {
    const { request, reply } = this;
    const tracer = this.#tracer;
    tracer?.received(request.bytes, length);
    reply.why = undefined;
    const replyLength = this.minor < 0 ? this.#answerFirst(length) : this.#dispatchOnce(length);
    tracer?.answered(request.bytes, length, reply, replyLength);
    return replyLength;
  }

  /** As if nobody traced. */
  #dispatchOnce(length: number): number {
    this.#isPlain = true;
    const replyLength = this.dispatch(length);
    this.#isPlain = this.#tracer === null;
    return replyLength;
  }

  #failed(opcode: number, error: unknown): number {
    const expected = error instanceof FsError;
    if (!expected) this.#report(opcode, error);
    this.reply.why = expected
      ? error.why
      : error instanceof ShortRequest
        ? error.message
        : `the daemon has failed: ${String(error)}`;
    if (opcode < 0 || operationOf[opcode]?.answered === false) return 0;
    return this.reply.error(expected ? error.errno : Errno.EIO);
  }

  #report(opcode: number, error: unknown): void {
    const caller =
      opcode < 0 ? '' : ` for node ${this.request.nodeid}, from pid ${this.request.pid}`;
    const what = `${opcodeName(opcode)}${caller}`;
    if (error instanceof ShortRequest) this.logger.warn(`${what}: ${error.message}`);
    else this.logger.error(what, error);
  }

  #answerFirst(length: number): number {
    const opcode = length < Size.fuse_in_header ? -1 : this.request.opcode;
    try {
      this.request.begin(length);
      this.reply.begin();
      if (opcode !== Opcode.FUSE_INIT) throw new FsError(Errno.EIO, 'INIT comes first');
      if (this.request.rest < Size.fuse_init_in) throw new ShortRequest('FUSE_INIT is cut short');
      return this.#init(this.request, this.reply);
    } catch (error) {
      return this.#failed(opcode, error);
    }
  }

  /** mount(2). fuse_init_out; EPROTO to a kernel older than 7.31. */
  #init(request: Request, reply: Reply): number {
    const major = request.u32();
    const minor = request.u32();
    const maxReadahead = request.u32();
    const offered = request.u32();
    const isExtended = (offered & bit(InitFlag.FUSE_INIT_EXT)) !== 0 && request.rest >= 4;
    const offered2 = isExtended ? request.u32() : 0;
    if (
      major < FUSE_KERNEL_VERSION ||
      (major === FUSE_KERNEL_VERSION && minor < OLDEST_MINOR_VERSION)
    ) {
      this.logger.error(
        `the kernel speaks FUSE ${major}.${minor}; ${FUSE_KERNEL_VERSION}.${OLDEST_MINOR_VERSION} (Linux 5.4) is needed`,
      );
      return reply.error(reply.refuse(Errno.EPROTO, 'the kernel is too old'));
    }
    reply.u32(FUSE_KERNEL_VERSION);
    // Nobody needs a file handle of a node that may end: without export support there are none to keep.
    let flags2 = offered2 & FUSE_NO_EXPORT_SUPPORT;
    if (major > FUSE_KERNEL_VERSION) {
      // A newer major: say ours, and the kernel asks again in it.
      reply.u32(FUSE_KERNEL_MINOR_VERSION);
    } else {
      this.minor = Math.min(minor, FUSE_KERNEL_MINOR_VERSION);
      this.#isPlain = this.#tracer === null;
      reply.u32(this.minor);
      if ((offered2 & FUSE_OVER_IO_URING) !== 0 && this.#negotiation?.onRingOffered() === true)
        flags2 |= FUSE_OVER_IO_URING;
      this.#negotiation?.onNegotiated();
    }
    reply.u32(maxReadahead);
    reply.u32((offered & WANTED_FLAGS) | (flags2 === 0 ? 0 : bit(InitFlag.FUSE_INIT_EXT)));
    reply.u32(MAX_BACKGROUND | (((MAX_BACKGROUND * 3) / 4) << 16)); // u16 max_background, u16 congestion_threshold
    reply.u32(MAX_WRITE_BYTES);
    reply.u32(1); // time_gran: nanoseconds
    reply.u32(MAX_PAGES); // u16 max_pages, u16 map_alignment
    reply.u32(flags2);
    for (let word = 9; word < Size.fuse_init_out >>> 2; word++) reply.u32(0); // max_stack_depth, unused
    return reply.end();
  }

  /** The operation whose request is in memory, for a complaint about its reply. */
  get current(): string {
    return opcodeName(this.request.opcode);
  }
}

function byOpcode(handlers: Handlers): (Handler | undefined)[] {
  const serve: (Handler | undefined)[] = [];
  for (const { opcode, method } of OPERATIONS) serve[opcode] = handlers[method].bind(handlers);
  return serve;
}
