/** Writes the trace of requests: one line for each request, and one for its reply. */
import { NOT_FOUND, errnoName } from '../../shared/errors.js';
import type { TraceLine } from '../../shared/log/trace.js';
import { Size } from '../abi.js';
import { decimal } from './fields.js';
import { type RequestHeader, headerOf } from './header.js';
import { describeReply } from './reply.js';
import { describeRequest } from './request.js';
import { operationOf } from '../opcodes.js';
import type { Reply } from '../reply.js';

/** Writes a line for each request, each reply and each wake-up of pollers. */
export class RequestTracer {
  /**
   * @param line writes a line of the trace
   * @param whyNotFound returns the reason why a lookup found nothing. It searches the tree, so the
   *   lookup itself does not call it.
   */
  constructor(
    private readonly line: TraceLine,
    private readonly whyNotFound: (nodeid: number, name: string) => string,
  ) {}

  /**
   * Traces a request that has come.
   *
   * @param length how many of `bytes` are the request
   */
  received(bytes: Uint8Array, length: number): void {
    const header: Partial<RequestHeader> = headerOf(bytes, length) ?? {};
    const { unique = '?', name, node, pid, uid, gid } = header;
    this.line(`-> #${unique} ${describeRequest(bytes, length)}`, {
      unique,
      opcode: name,
      node,
      caller: pid,
      uid,
      gid,
    });
  }

  /**
   * Traces the reply of a request that a handler has served.
   *
   * @param requestLength how many bytes of `request` are the request
   * @param length the length of the reply in `reply`, in bytes; 0 if there is none
   */
  answered(request: Uint8Array, requestLength: number, reply: Reply, length: number): void {
    const header: Partial<RequestHeader> = headerOf(request, requestLength) ?? {};
    const { unique = '?', opcode = -1, name } = header;
    if (length === 0) {
      const outcome =
        operationOf[opcode]?.answered === true
          ? 'parked'
          : reply.why === undefined
            ? 'no reply'
            : `no reply: ${reply.why}`;
      this.line(`<- #${unique} (${outcome})`, { unique, opcode: name });
      return;
    }
    const errno = -new Int32Array(reply.bytes.buffer, reply.bytes.byteOffset + 4, 1)[0];
    if (errno !== 0)
      return this.#failed(
        unique,
        name,
        errno,
        reply.why === NOT_FOUND ? this.#notFound(request, requestLength) : reply.why,
      );
    const what = describeReply(opcode, reply.bytes, length, reply.sliceBytes);
    this.line(`<- #${unique} OK${what === '' ? '' : ` ${what}`}`, { unique, opcode: name });
  }

  /**
   * Traces the reply to a parked read.
   *
   * @param uniqueLow the lower 32 bits of the request's `unique`
   * @param uniqueHigh the upper 32 bits
   * @param bytes how many bytes the reader gets
   */
  answeredLate(uniqueLow: number, uniqueHigh: number, bytes: number): void {
    const unique = decimal(uniqueLow, uniqueHigh);
    this.line(`<- #${unique} OK ${bytes} bytes (was parked)`, { unique, opcode: 'READ' });
  }

  /**
   * Traces the error that ends a parked read.
   *
   * @param uniqueLow the lower 32 bits of the request's `unique`
   * @param uniqueHigh the upper 32 bits
   * @param errno a positive errno
   * @param why the reason in words
   */
  failedLate(uniqueLow: number, uniqueHigh: number, errno: number, why: string): void {
    this.#failed(decimal(uniqueLow, uniqueHigh), 'READ', errno, why);
  }

  /**
   * Traces a notification that wakes the pollers of an open file (FUSE_NOTIFY_POLL).
   *
   * @param node the file's node id
   */
  woken(node: number): void {
    this.line(`<- NOTIFY_POLL node=${node}`);
  }

  #failed(
    unique: string,
    opcode: string | undefined,
    errno: number,
    why: string | undefined,
  ): void {
    const name = errnoName(errno);
    this.line(`<- #${unique} ${name}${why === undefined ? '' : ` (${why})`}`, {
      unique,
      opcode,
      errno: name,
      reason: why,
    });
  }

  /** Returns the reason for a LOOKUP that found nothing. The name follows the request's header. */
  #notFound(request: Uint8Array, length: number): string {
    const start = Size.fuse_in_header;
    const nul = request.subarray(start, length).indexOf(0);
    const name = Buffer.from(request.buffer, request.byteOffset + start, Math.max(0, nul)).toString(
      'latin1',
    );
    return this.whyNotFound(Number(headerOf(request, length)!.node), name);
  }
}
