/** Frees the memory of the half that a compaction of the journal has left, in steps. */
import type { StateLayout } from './layout.js';

/** A half keeps this much memory when it is freed, in bytes. */
const KEPT_BYTES = 8 * 1024 * 1024;
/** The most memory that one step frees, in bytes: the kernel takes about 1 ms a MiB. */
const FREED_BYTES = 256 * 1024;

/** The memory of both halves. */
export class FreedHalves {
  /** How much memory each half may have, in bytes. In a later daemon it may be all. */
  readonly #most: [number, number];
  /** The half whose memory is being freed; null while none is. */
  #half: 0 | 1 | null = null;

  /** @param isNew whether no daemon before has written to the memory */
  constructor(
    private readonly layout: StateLayout,
    isNew: boolean,
  ) {
    const { half } = layout.sizes;
    this.#most = isNew ? [0, 0] : [half, half];
  }

  /** Whether memory is to be freed. */
  get isUnderWay(): boolean {
    return this.#half !== null;
  }

  /**
   * Notes that a half has more memory.
   * @param bytes from its start on
   */
  grown(half: 0 | 1, bytes: number): void {
    this.#most[half] = Math.max(this.#most[half], bytes);
  }

  /** Begins to free the memory of a half. */
  begin(half: 0 | 1): void {
    this.#half = half;
  }

  /** Frees no more: the half is written to again. */
  stop(): void {
    this.#half = null;
  }

  /**
   * Frees some memory.
   * @returns whether all of it is free
   */
  freeSome(): boolean {
    const half = this.#half;
    if (half === null) return true;
    const end = this.#most[half];
    const start = Math.max(KEPT_BYTES, end - FREED_BYTES);
    if (start < end) {
      this.layout.memory.discard(this.layout.halves[half] + start, end - start);
      this.#most[half] = start;
    }
    if (start > KEPT_BYTES) return false;
    this.#half = null;
    return true;
  }
}
