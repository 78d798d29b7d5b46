/** The reads that wait, by slot. A slot's `unique` lies in memory that the channel answers from. */
import { InHeader } from '../fuse/abi.js';
import type { Handle, ParkedRead } from '../tree/handle.js';

const UNIQUE_BYTES = 8;

export class ParkedReads {
  /** `unique` of slot i, as the kernel sent it: 8 bytes at 8i. */
  readonly uniques: Uint8Array;
  readonly #words: Uint32Array;
  readonly #reads: (ParkedRead | undefined)[] = [];
  readonly #free: number[] = [];

  /** @param most how many reads can wait at once */
  constructor(private readonly most: number) {
    this.uniques = new Uint8Array(most * UNIQUE_BYTES);
    this.#words = new Uint32Array(this.uniques.buffer);
  }

  /** How many wait. */
  get size(): number {
    return this.#reads.length - this.#free.length;
  }

  /** Parks the request in `request`; undefined when there is no slot left. */
  park(request: Uint32Array, handle: Handle, size: number): ParkedRead | undefined {
    const slot = this.#free.pop() ?? this.#reads.length;
    if (slot >= this.most) return undefined;
    this.#words[slot * 2] = request[InHeader.unique >>> 2];
    this.#words[slot * 2 + 1] = request[(InHeader.unique >>> 2) + 1];
    const read = { slot, handle, size };
    this.#reads[slot] = read;
    return read;
  }

  /** The parked read with that `unique`. */
  find(uniqueLow: number, uniqueHigh: number): ParkedRead | undefined {
    const words = this.#words;
    return this.#reads.find(
      (read) => read !== undefined && words[read.slot * 2] === uniqueLow && words[read.slot * 2 + 1] === uniqueHigh,
    );
  }

  free(read: ParkedRead): void {
    this.#reads[read.slot] = undefined;
    this.#free.push(read.slot);
  }
}
