/** Two lines of the trace for each request: what the kernel asks, and what it is answered. */
import { NOT_FOUND, errnoName } from '../shared/errors.js';
import type { TraceLine } from '../shared/trace.js';
import { Size } from './abi.js';
import { type RequestHeader, describeReply, describeRequest, headerOf } from './describe.js';
import { decimal } from './fields.js';
import { operationOf } from './opcodes.js';
import type { Reply } from './reply.js';

export class RequestTracer {
  /**
   * @param line writes a line
   * @param whyNotFound says why a lookup found nothing: that takes a look at what is there, which a lookup does not wait for
   */
  constructor(
    private readonly line: TraceLine,
    private readonly whyNotFound: (nodeid: number, name: string) => string,
  ) {}

  /** A request of `length` bytes has come. */
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
   * The request has been served, and its reply is built or there is none.
   * @param length the reply's bytes in `reply`; 0 for none
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
   * A read that was parked has its answer.
   * @param uniqueLow the lower half of its `unique` @param uniqueHigh the upper half
   * @param bytes how many it gets
   */
  answeredLate(uniqueLow: number, uniqueHigh: number, bytes: number): void {
    const unique = decimal(uniqueLow, uniqueHigh);
    this.line(`<- #${unique} OK ${bytes} bytes (was parked)`, { unique, opcode: 'READ' });
  }

  /** A read that was parked has failed. @param why in words */
  failedLate(uniqueLow: number, uniqueHigh: number, errno: number, why: string): void {
    this.#failed(decimal(uniqueLow, uniqueHigh), 'READ', errno, why);
  }

  /** Those who poll an open file are woken (FUSE_NOTIFY_POLL). */
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

  /** The name that a LOOKUP asks for follows its header. */
  #notFound(request: Uint8Array, length: number): string {
    const start = Size.fuse_in_header;
    const nul = request.subarray(start, length).indexOf(0);
    const name = Buffer.from(request.buffer, request.byteOffset + start, Math.max(0, nul)).toString(
      'latin1',
    );
    return this.whyNotFound(Number(headerOf(request, length)!.node), name);
  }
}
