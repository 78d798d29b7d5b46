/**
 * The reply port while requests are traced: it adds a line for each answer to a parked read. A
 * driver loads this file, and with it all that describes requests, when a trace begins.
 */
import { Errno } from '../../shared/errors.js';
import type { Sink } from '../../bus/sink.js';
import { RequestTracer } from '../../fuse/describe/request-tracer.js';
import type { TraceLine } from '../../shared/log/trace.js';
import type { ReplyPort } from '../../tree/ports.js';
import type { Handle, ParkedRead } from '../../tree/nodes/node.js';

/** Makes what writes the lines of requests: see RequestTracer. */
export function requestTracer(
  line: TraceLine,
  whyNotFound: (nodeid: number, name: string) => string,
): RequestTracer {
  return new RequestTracer(line, whyNotFound);
}

/** Why a parked read fails, by errno. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [Errno.EINTR, 'a signal interrupted the reader'],
  [Errno.ESTALE, 'the directory has ended, with its owner or by rmdir'],
]);

/** Traces each call, and passes it on to another port. */
export class TracedPort implements ReplyPort {
  readonly #uniques: Uint32Array;
  #sink: Sink | null = null;
  /** The sink's room at the beginning, in bytes. */
  #room = 0;

  /**
   * @param port receives all calls
   * @param uniques the `unique` of each slot, 8 bytes each
   * @param tracer writes the lines
   */
  constructor(
    private readonly port: ReplyPort,
    uniques: Uint8Array,
    private readonly tracer: RequestTracer,
  ) {
    this.#uniques = new Uint32Array(uniques.buffer, uniques.byteOffset, uniques.length >>> 2);
  }

  /**
   * Begins an answer to parked reads.
   * @param size the most bytes that each of them takes
   */
  begin(size: number): Sink {
    const sink = this.port.begin(size);
    this.#sink = sink;
    this.#room = sink.room;
    return sink;
  }

  /** Traces before it answers: afterwards the slots are free, and another read may have them. */
  answer(reads: readonly ParkedRead[]): void {
    const bytes = this.#room - (this.#sink?.room ?? this.#room);
    for (const { slot } of reads)
      this.tracer.answeredLate(this.#low(slot), this.#high(slot), bytes);
    this.port.answer(reads);
  }

  /** Calls `cork` of the traced port. The trace writes no line for it. */
  cork(): void {
    this.port.cork();
  }

  /** Passes `uncork` on. The trace has no line for it. */
  uncork(): void {
    this.port.uncork();
  }

  /**
   * Traces and ends a parked read with an error.
   * @param errno positive, as in errno(3)
   * @param why the reason, if it is not the usual one of the errno
   */
  fail(read: ParkedRead, errno: number, why?: string): void {
    const { slot } = read;
    this.tracer.failedLate(
      this.#low(slot),
      this.#high(slot),
      errno,
      why ?? REASONS.get(errno) ?? 'the read ends without an event',
    );
    this.port.fail(read, errno);
  }

  /** Traces and wakes the pollers of an open file. */
  wake(handle: Handle): void {
    this.tracer.woken(handle.node.id);
    this.port.wake(handle);
  }

  #low(slot: number): number {
    return this.#uniques[2 * slot];
  }

  #high(slot: number): number {
    return this.#uniques[2 * slot + 1];
  }
}
