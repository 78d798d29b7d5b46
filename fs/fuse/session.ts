/**
 * One FUSE connection. After INIT it finds the handler of each request, and makes sure that each
 * request gets exactly one reply, whatever the handler does.
 *
 * The session is pure: it reads and writes memory, and a driver carries that memory to and from
 * /dev/fuse.
 */
import { endianness } from 'node:os';
import { Errno, FsError } from '../shared/errors.js';
import { Opcode, Size } from './abi.js';
import {
  DONE,
  type Handler,
  type Handlers,
  NO_REPLY,
  OPERATIONS,
  opcodeName,
  operationOf,
} from './opcodes.js';
import { Init } from './init.js';
import { Reply } from './reply.js';
import type { RequestTracer } from './describe/request-tracer.js';
import { Request, ShortRequest } from './request.js';
import type { Logger } from '../shared/log/logger.js';

/** A process whose requests have handlers of their own. */
export interface SpecialCaller {
  /** The process's PID; -1 while there is no such process. */
  readonly pid: number;
  readonly handlers: Handlers;
}

/** The protocol state of one FUSE connection. */
export class Session {
  readonly request: Request;
  readonly reply: Reply;
  readonly init = new Init();
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

  /**
   * Continues a connection that another daemon has negotiated.
   *
   * @param minor the negotiated minor version
   */
  adopt(minor: number): void {
    this.init.adopt(minor);
    this.#isPlain = this.#tracer === null;
  }

  /** Sets the tracer of all later requests; null switches the trace off. */
  traceTo(tracer: RequestTracer | null): void {
    this.#tracer = tracer;
    this.#isPlain = this.init.minor >= 0 && tracer === null;
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
    const replyLength =
      this.init.minor < 0 ? this.#answerFirst(length) : this.#dispatchOnce(length);
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
      return this.init.answer(this.request, this.reply);
    } catch (error) {
      return this.#failed(opcode, error);
    } finally {
      this.#isPlain = this.init.minor >= 0 && this.#tracer === null;
    }
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
