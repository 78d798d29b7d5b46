/** The reply port, while requests are traced: the answer to a parked read has its line too. */
import { Errno } from '../../shared/errors.js';
import type { Sink } from '../../bus/sink.js';
import type { RequestTracer } from '../../fuse/request-tracer.js';
import type { ReplyPort } from '../../tree/ports.js';
import type { Handle, ParkedRead } from '../../tree/nodes/node.js';

/** Why a parked read fails, by errno. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [Errno.EINTR, 'a signal came for the reader'],
  [Errno.ESTALE, 'the directory that is read has ended, with its owner or by rmdir'],
]);

export class TracedPort implements ReplyPort {
  readonly #uniques: Uint32Array;
  #sink: Sink | null = null;
  /** How much room the sink had. */
  #room = 0;

  /** @param uniques `unique` of each slot, 8 bytes each @param tracer where the lines go */
  constructor(
    private readonly port: ReplyPort,
    uniques: Uint8Array,
    private readonly tracer: RequestTracer,
  ) {
    this.#uniques = new Uint32Array(uniques.buffer, uniques.byteOffset, uniques.length >>> 2);
  }

  begin(size: number): Sink {
    const sink = this.port.begin(size);
    this.#sink = sink;
    this.#room = sink.room;
    return sink;
  }

  /** Told before the slots are free: by then they may be another's. */
  answer(reads: readonly ParkedRead[]): void {
    const bytes = this.#room - (this.#sink?.room ?? this.#room);
    for (const { slot } of reads)
      this.tracer.answeredLate(this.#low(slot), this.#high(slot), bytes);
    this.port.answer(reads);
  }

  cork(): void {
    this.port.cork();
  }

  uncork(): void {
    this.port.uncork();
  }

  fail(read: ParkedRead, errno: number): void {
    const { slot } = read;
    this.tracer.failedLate(
      this.#low(slot),
      this.#high(slot),
      errno,
      REASONS.get(errno) ?? 'it waited in vain',
    );
    this.port.fail(read, errno);
  }

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
