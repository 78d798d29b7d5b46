/**
 * One FUSE connection. It negotiates INIT; then it finds the handler of each request, and makes
 * sure that each request gets exactly one reply, whatever the handler does.
 *
 * The session is pure: it reads and writes memory, and a driver carries that memory to and from
 * /dev/fuse.
 */
import { endianness } from 'node:os';
import { Errno, FsError } from '../shared/errors.js';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_HAS_RESEND,
  FUSE_KERNEL_VERSION,
  FUSE_NO_EXPORT_SUPPORT,
  FUSE_OVER_IO_URING,
  FUSE_REQUEST_TIMEOUT,
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
import type { RequestTracer } from './describe/request-tracer.js';
import { Request, ShortRequest } from './request.js';
import type { Logger } from '../shared/logger.js';

/** The largest data of one WRITE in bytes: more than the largest event. */
export const MAX_WRITE_BYTES = 128 * 1024;
/**
 * The most pages of one READ (fuse_init_out.max_pages): 1 MiB, so that a slow reader gets many
 * events at once.
 */
const MAX_PAGES = 256;
const PAGE_BYTES = 4096;
const MAX_BACKGROUND = 64;
/**
 * A READ of at least this many bytes may be the longest that the kernel can send for the caller's
 * buffer, so the caller may want more. One page is missing because the buffer need not begin at a
 * page boundary.
 */
export const LONG_READ_BYTES = (MAX_PAGES - 1) * PAGE_BYTES;

/** The size of the request buffer in bytes. */
export const REQUEST_BYTES = MAX_WRITE_BYTES + PAGE_BYTES;
/** The size of the reply buffer in bytes. */
export const REPLY_BYTES = MAX_PAGES * PAGE_BYTES + PAGE_BYTES;
/** The most bytes that one request or reply carries behind its fixed part. */
export const PAYLOAD_BYTES = Math.max(MAX_WRITE_BYTES, MAX_PAGES * PAGE_BYTES);

/**
 * The INIT flags that the daemon requests if the kernel offers them. It never requests
 * FUSE_NO_OPENDIR_SUPPORT and FUSE_CACHE_SYMLINKS (docs/design.md, section 4).
 */
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

/** A process whose requests have handlers of their own. */
export interface SpecialCaller {
  /** The process's PID; -1 while there is no such process. */
  readonly pid: number;
  readonly handlers: Handlers;
}

/** The calls by which the session tells the driver of the negotiation. */
export interface Negotiation {
  /** The kernel and the daemon have agreed on a version. */
  onNegotiated(): void;
  /**
   * The kernel lacks what eventfs needs.
   *
   * @param why with a remedy
   */
  onUnsuitable(why: string): void;
  /**
   * The kernel offers io_uring.
   *
   * @returns whether the driver accepts it; if so, the driver has already set it up
   */
  onRingOffered(): boolean;
  /** Whether a kernel without FUSE_NOTIFY_RESEND is unsuitable (default: no). */
  readonly needsResend?: boolean;
}

/** The protocol state of one FUSE connection. */
export class Session {
  readonly request: Request;
  readonly reply: Reply;
  /** The negotiated minor version; -1 before INIT. */
  minor = -1;
  #negotiation: Negotiation | null = null;
  #requestTimeoutS = 0;
  readonly #serve: (Handler | undefined)[];
  readonly #serveSpecial: (Handler | undefined)[];
  #tracer: RequestTracer | null = null;
  /** Whether INIT is over and no trace is on: then a request needs only its handler. */
  #isPlain = false;

  /**
   * @param requestBytes the memory for requests, at least REQUEST_BYTES
   * @param replyBytes the memory for replies, at least REPLY_BYTES
   * @param special a process whose requests go to other handlers
   * @throws Error on a big-endian machine
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

  /** Attaches the driver. The driver calls this before INIT comes. */
  attach(negotiation: Negotiation): void {
    this.#negotiation = negotiation;
  }

  /**
   * Sets the age of a request at which the kernel shall end the connection, before INIT comes.
   *
   * @param seconds 0 for the kernel's own choice
   */
  limitRequests(seconds: number): void {
    this.#requestTimeoutS = seconds;
  }

  /**
   * Continues a connection that another daemon has negotiated.
   *
   * @param minor the negotiated minor version
   */
  adopt(minor: number): void {
    this.minor = minor;
    this.#isPlain = this.#tracer === null;
  }

  /** Sets the tracer of all later requests; null switches the trace off. */
  traceTo(tracer: RequestTracer | null): void {
    this.#tracer = tracer;
    this.#isPlain = this.minor >= 0 && tracer === null;
  }

  /**
   * Serves the request in memory. Never throws.
   *
   * @param length the request's length in bytes
   * @returns the reply's length in bytes; 0 if there is no reply
   */
  dispatch(length: number): number {
    if (!this.#isPlain) return this.#dispatchNotPlain(length);
    const { request, reply } = this;
    const opcode = length < Size.fuse_in_header ? -1 : request.opcode;
    try {
      request.begin(length);
      reply.begin();
      const operation = operationOf[opcode];
      if (operation === undefined)
        return reply.error(reply.refuse(Errno.ENOSYS, 'eventfs does not support it'));
      if (request.rest < operation.inBytes)
        throw new ShortRequest(`the request has only ${request.rest} bytes behind its header`);
      const serve = request.pid === this.special.pid ? this.#serveSpecial : this.#serve;
      const outcome = serve[opcode]!(request, reply);
      if (outcome === DONE) return reply.end();
      return outcome === NO_REPLY ? 0 : reply.error(outcome);
    } catch (error) {
      return this.#failed(opcode, error);
    }
  }

  /**
   * Answers the request in memory with a reply that a daemon before this one has recorded.
   *
   * @param length the request's length in bytes
   * @param error 0, or a negative errno
   * @param body the reply's bytes behind the header
   * @returns the reply's length in bytes
   */
  repeat(length: number, error: number, body: Uint8Array): number {
    const { request, reply } = this;
    this.#tracer?.received(request.bytes, length);
    reply.why = 'the request is of the time of the daemon before this one';
    const replyLength = reply.repeat(error, body);
    this.#tracer?.answered(request.bytes, length, reply, replyLength);
    return replyLength;
  }

  /** Serves a request before INIT, or with the trace on. */
  #dispatchNotPlain(length: number): number {
    const { request, reply } = this;
    const tracer = this.#tracer;
    tracer?.received(request.bytes, length);
    reply.why = undefined;
    const replyLength = this.minor < 0 ? this.#answerFirst(length) : this.#dispatchOnce(length);
    tracer?.answered(request.bytes, length, reply, replyLength);
    return replyLength;
  }

  /** Serves a request after INIT as if the trace were off. */
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
        : `internal error: ${String(error)}`;
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
      if (opcode !== Opcode.FUSE_INIT)
        throw new FsError(Errno.EIO, 'the first request must be INIT');
      if (this.request.rest < Size.fuse_init_in) throw new ShortRequest('FUSE_INIT is too short');
      return this.#init(this.request, this.reply);
    } catch (error) {
      return this.#failed(opcode, error);
    }
  }

  /**
   * Negotiates INIT, which mount(2) causes. The reply is a fuse_init_out, or EPROTO if the kernel
   * is older than 7.31.
   */
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
      this.#negotiation?.onUnsuitable(
        `the kernel has FUSE ${major}.${minor}, but eventfs needs ${FUSE_KERNEL_VERSION}.${OLDEST_MINOR_VERSION} (run Linux 5.4 or newer)`,
      );
      return reply.error(reply.refuse(Errno.EPROTO, 'the kernel is too old'));
    }
    if (this.#negotiation?.needsResend === true && (offered2 & FUSE_HAS_RESEND) === 0) {
      this.#negotiation.onUnsuitable(
        'the kernel can not send unanswered requests again, so no daemon can take over (run Linux 6.9 or newer, or mount without --guard)',
      );
      return reply.error(reply.refuse(Errno.EPROTO, 'the kernel is too old for --guard'));
    }
    reply.u32(FUSE_KERNEL_VERSION);
    // A node may end, so a client has no use for its file handle (name_to_handle_at(2)). Without
    // export support the kernel creates none.
    let flags2 = offered2 & FUSE_NO_EXPORT_SUPPORT;
    if (this.#requestTimeoutS > 0) flags2 |= offered2 & FUSE_REQUEST_TIMEOUT;
    if (major > FUSE_KERNEL_VERSION) {
      // If the kernel's major version is newer, the daemon replies with its own, and the kernel
      // sends INIT again in that version.
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
    // u16 max_background, u16 congestion_threshold
    reply.u32(MAX_BACKGROUND | (((MAX_BACKGROUND * 3) / 4) << 16));
    reply.u32(MAX_WRITE_BYTES);
    reply.u32(1); // time_gran: nanoseconds
    reply.u32(MAX_PAGES); // u16 max_pages, u16 map_alignment
    reply.u32(flags2);
    reply.u32(0); // max_stack_depth
    reply.u32((flags2 & FUSE_REQUEST_TIMEOUT) === 0 ? 0 : this.#requestTimeoutS); // u16, and unused
    for (let word = 11; word < Size.fuse_init_out >>> 2; word++) reply.u32(0);
    return reply.end();
  }

  /** The name of the opcode whose request is in memory, for a log message about its reply. */
  get current(): string {
    return opcodeName(this.request.opcode);
  }
}

function byOpcode(handlers: Handlers): (Handler | undefined)[] {
  const serve: (Handler | undefined)[] = [];
  for (const { opcode, method } of OPERATIONS) serve[opcode] = handlers[method];
  return serve;
}
