/** The reads that wait, by slot. A slot's `unique` lies in memory that the channel answers from. */
import { InHeader } from '../../fuse/abi.js';
import type { Handle, ParkedRead } from '../../tree/nodes/node.js';
import { LONG_READ_BYTES } from '../../fuse/session.js';
import { PARKED_READ_BYTES } from '../../tree/prices.js';
import type { QuotaLedger, QuotaAccount } from '../../tree/quota.js';

const UNIQUE_BYTES = 8;

/** What is known of a parked read's caller: see io-uring/missed-interrupt-poller.ts. */
const Age = { new: 0, old: 1, interruptible: 2 } as const;

export class ParkedReads {
  /** `unique` of slot i, as the kernel sent it: 8 bytes at 8i. */
  readonly uniques: Uint8Array;
  readonly #words: Uint32Array;
  readonly #reads: (ParkedRead | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #tids: Uint32Array;
  readonly #ages: Uint8Array;
  /** Where each read is charged. */
  readonly #accounts: (QuotaAccount | undefined)[] = [];
  /**
   * Slots by `unique`, in short lists: the first slot of each list plus one, and the one behind each slot plus one; 0 ends a list. When
   * a thousand readers are killed each has its INTERRUPT, and a search among all of them would hold everybody up.
   */
  readonly #firsts: Int32Array;
  readonly #nexts: Int32Array;
  readonly #mask: number;

  /** @param most how many reads can wait at once @param ledger where each is charged to the user who reads */
  constructor(
    private readonly most: number,
    private readonly ledger: QuotaLedger,
  ) {
    const places = 2 ** Math.ceil(Math.log2(2 * most));
    this.#firsts = new Int32Array(places);
    this.#nexts = new Int32Array(most);
    this.#mask = places - 1;
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

  /** Parks the request in `request`; undefined when too many wait, or too many of its user's. */
  park(request: Uint32Array, handle: Handle, size: number): ParkedRead | undefined {
    if (this.size >= this.most) return undefined;
    const account = this.ledger.account(request[InHeader.uid >>> 2], request[InHeader.gid >>> 2]);
    if (!account.tryChargeRead(PARKED_READ_BYTES)) return undefined;
    const slot = this.#free.pop() ?? this.#reads.length;
    this.#accounts[slot] = account;
    this.#words[slot * 2] = request[InHeader.unique >>> 2];
    this.#words[slot * 2 + 1] = request[(InHeader.unique >>> 2) + 1];
    this.#tids[slot] = request[InHeader.pid >>> 2];
    this.#ages[slot] = Age.new;
    const read = { slot, handle, size };
    this.#reads[slot] = read;
    this.#enter(slot);
    return read;
  }

  /** The parked read with that `unique`. */
  find(uniqueLow: number, uniqueHigh: number): ParkedRead | undefined {
    const words = this.#words;
    for (
      let slot = this.#firsts[this.#listOf(uniqueLow, uniqueHigh)] - 1;
      slot >= 0;
      slot = this.#nexts[slot] - 1
    ) {
      if (words[slot * 2] === uniqueLow && words[slot * 2 + 1] === uniqueHigh)
        return this.#reads[slot];
    }
    return undefined;
  }

  /**
   * The list that a `unique` is in. The kernel counts them up in steps of two (fs/fuse/fuse_i.h, FUSE_REQ_ID_STEP): neighbours in
   * time have neighbouring lists, and a list has more than one read only where one has waited for as many requests as there are lists.
   */
  #listOf(uniqueLow: number, uniqueHigh: number): number {
    return ((uniqueLow >>> 1) ^ Math.imul(uniqueHigh, 0x9e3779b1)) & this.#mask;
  }

  #enter(slot: number): void {
    const list = this.#listOf(this.#words[slot * 2], this.#words[slot * 2 + 1]);
    this.#nexts[slot] = this.#firsts[list];
    this.#firsts[list] = slot + 1;
  }

  #leave(slot: number): void {
    const nexts = this.#nexts;
    const list = this.#listOf(this.#words[slot * 2], this.#words[slot * 2 + 1]);
    if (this.#firsts[list] === slot + 1) {
      this.#firsts[list] = nexts[slot];
      return;
    }
    let before = this.#firsts[list] - 1;
    while (nexts[before] !== slot + 1) before = nexts[before] - 1;
    nexts[before] = nexts[slot];
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
  markInterruptible(slot: number): void {
    this.#ages[slot] = Age.interruptible;
  }

  isInterruptible(slot: number): boolean {
    return this.#ages[slot] === Age.interruptible;
  }

  /** It has got `length` bytes. Its open file takes note where it asked for more: io_uring reads on. */
  noteShort({ slot, handle, size }: ParkedRead, length: number): void {
    if (length > 0 && length < size)
      handle.gotShort(this.#tids[slot], 0, size - length, size >= LONG_READ_BYTES);
  }

  free(read: ParkedRead): void {
    const { slot } = read;
    this.#leave(slot);
    this.#reads[slot] = undefined;
    this.#free.push(slot);
    const account = this.#accounts[slot]!;
    this.#accounts[slot] = undefined;
    account.refundRead(PARKED_READ_BYTES);
  }
}
