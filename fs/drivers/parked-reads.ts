/** The reads that wait, by slot. A slot's `unique` lies in memory that the channel answers from. */
import { InHeader } from '../fuse/abi.js';
import type { Handle, ParkedRead } from '../tree/handle.js';

const UNIQUE_BYTES = 8;

/** What is known of a parked read's caller: see lost-interrupts.ts. */
const Age = { new: 0, old: 1, settled: 2 } as const;

export class ParkedReads {
  /** `unique` of slot i, as the kernel sent it: 8 bytes at 8i. */
  readonly uniques: Uint8Array;
  readonly #words: Uint32Array;
  readonly #reads: (ParkedRead | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #tids: Uint32Array;
  readonly #ages: Uint8Array;

  /** @param most how many reads can wait at once */
  constructor(private readonly most: number) {
    this.uniques = new Uint8Array(most * UNIQUE_BYTES);
    this.#words = new Uint32Array(this.uniques.buffer);
    this.#tids = new Uint32Array(most);
    this.#ages = new Uint8Array(most);
  }

  /** How many wait. */
  get size(): number {
    return this.#reads.length - this.#free.length;
  }

  /** How many slots there are, free ones included. */
  get slots(): number {
    return this.#reads.length;
  }

  /** Parks the request in `request`; undefined when there is no slot left. */
  park(request: Uint32Array, handle: Handle, size: number): ParkedRead | undefined {
    const slot = this.#free.pop() ?? this.#reads.length;
    if (slot >= this.most) return undefined;
    this.#words[slot * 2] = request[InHeader.unique >>> 2];
    this.#words[slot * 2 + 1] = request[(InHeader.unique >>> 2) + 1];
    this.#tids[slot] = request[InHeader.pid >>> 2];
    this.#ages[slot] = Age.new;
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

  at(slot: number): ParkedRead | undefined {
    return this.#reads[slot];
  }

  /** The thread that waits. */
  tidOf(slot: number): number {
    return this.#tids[slot];
  }

  /** True when it has waited for a while: at the second call. */
  grow(slot: number): boolean {
    if (this.#ages[slot] !== Age.new) return true;
    this.#ages[slot] = Age.old;
    return false;
  }

  /** Nothing more needs to be known of its caller. */
  settle(slot: number): void {
    this.#ages[slot] = Age.settled;
  }

  isSettled(slot: number): boolean {
    return this.#ages[slot] === Age.settled;
  }

  free(read: ParkedRead): void {
    this.#reads[read.slot] = undefined;
    this.#free.push(read.slot);
  }
}
