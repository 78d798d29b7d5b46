/**
 * The parked reads, by slot. The channel shares the memory that holds each slot's `unique`, and
 * answers from there.
 */
import { InHeader } from '../../fuse/abi.js';
import { type Handle, ParkedRead } from '../../tree/nodes/node.js';
import { LONG_READ_BYTES } from '../../fuse/sizes.js';
import { PARKED_READ_BYTES } from '../../tree/prices.js';
import type { QuotaAccount } from '../../tree/quota/account.js';
import { forceChargeAll } from '../../tree/quota/force-charge.js';
import type { QuotaLedger } from '../../tree/quota/ledger.js';
import { uniqueOf } from './unique.js';

const UNIQUE_BYTES = 8;

/**
 * The state of a parked read for io-uring/missed-interrupt-poller.ts: `new` if it was parked since
 * the last look, `old` if before, `interruptible` if no further look is needed.
 */
const Age = { new: 0, old: 1, interruptible: 2 } as const;

/** The table of parked reads, and their charges. */
export class ParkedReads {
  /** The `unique` of slot i as the kernel sent it: bytes 8i to 8i+7. */
  readonly uniques: Uint8Array;
  /** The same as words, the lower one first. */
  readonly words: Uint32Array;
  readonly #reads: (ParkedRead | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #tids: Uint32Array;
  readonly #ages: Uint8Array;
  /** The account that each read is charged to, by slot. A free slot keeps its last account. */
  readonly #accounts: QuotaAccount[] = [];
  /**
   * A hash table of slots by `unique`, as linked lists: `#firsts` holds the first slot of each list
   * plus one, `#nexts` holds the slot after each slot plus one, and 0 ends a list. If a thousand
   * readers are killed, each causes an INTERRUPT: a search through all parked reads would delay all
   * other requests.
   */
  readonly #firsts: Int32Array;
  readonly #nexts: Int32Array;
  readonly #mask: number;

  /**
   * @param most how many reads may be parked at once
   * @param ledger charges each read to the reader's user
   */
  constructor(
    private readonly most: number,
    private readonly ledger: QuotaLedger,
  ) {
    const places = 2 ** Math.ceil(Math.log2(2 * most));
    this.#firsts = new Int32Array(places);
    this.#nexts = new Int32Array(most);
    this.#mask = places - 1;
    this.uniques = new Uint8Array(most * UNIQUE_BYTES);
    this.words = new Uint32Array(this.uniques.buffer);
    this.#tids = new Uint32Array(most);
    this.#ages = new Uint8Array(most);
  }

  /** How many reads are parked. */
  get size(): number {
    return this.#reads.length - this.#free.length;
  }

  /** How many slots there are, including free slots. */
  get slots(): number {
    return this.#reads.length;
  }

  /**
   * Parks a READ.
   * @param request the words of the READ request
   * @param size the most bytes that it takes
   * @param isResent whether the last daemon has parked the read already: then no quota refuses it
   * @returns undefined if too many reads are parked, in all or of the reader's user
   */
  park(
    request: Uint32Array,
    handle: Handle,
    size: number,
    isResent = false,
  ): ParkedRead | undefined {
    if (this.size >= this.most) return undefined;
    const account = this.ledger.account(request[InHeader.uid >>> 2], request[InHeader.gid >>> 2]);
    if (isResent) forceChargeAll(account, { reads: 1, memory: PARKED_READ_BYTES });
    else if (!account.tryChargeRead(PARKED_READ_BYTES)) return undefined;
    const slot = this.#free.pop() ?? this.#reads.length;
    if (this.#accounts[slot] !== account) this.#accounts[slot] = account;
    this.words[slot * 2] = request[InHeader.unique >>> 2];
    this.words[slot * 2 + 1] = request[(InHeader.unique >>> 2) + 1];
    this.#tids[slot] = request[InHeader.pid >>> 2];
    this.#ages[slot] = Age.new;
    const read = new ParkedRead(slot, handle, size);
    this.#reads[slot] = read;
    this.#enter(slot);
    return read;
  }

  /** Returns the parked read with this `unique`, or undefined. */
  find(uniqueLow: number, uniqueHigh: number): ParkedRead | undefined {
    const words = this.words;
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
   * Returns the list for a `unique`. The kernel increases `unique` by two for each request
   * (fs/fuse/fuse_i.h, FUSE_REQ_ID_STEP), so successive requests get successive lists. A list has
   * more than one read only if a read has waited for as many requests as there are lists.
   */
  #listOf(uniqueLow: number, uniqueHigh: number): number {
    return ((uniqueLow >>> 1) ^ Math.imul(uniqueHigh, 0x9e3779b1)) & this.#mask;
  }

  #enter(slot: number): void {
    const list = this.#listOf(this.words[slot * 2], this.words[slot * 2 + 1]);
    this.#nexts[slot] = this.#firsts[list];
    this.#firsts[list] = slot + 1;
  }

  #leave(slot: number): void {
    const nexts = this.#nexts;
    const list = this.#listOf(this.words[slot * 2], this.words[slot * 2 + 1]);
    if (this.#firsts[list] === slot + 1) {
      this.#firsts[list] = nexts[slot];
      return;
    }
    let before = this.#firsts[list] - 1;
    while (nexts[before] !== slot + 1) before = nexts[before] - 1;
    nexts[before] = nexts[slot];
  }

  /** Returns the parked read in a slot, or undefined if the slot is free. */
  at(slot: number): ParkedRead | undefined {
    return this.#reads[slot];
  }

  /**
   * Parks all reads again, in the order in which the kernel has numbered their requests. That is
   * the order in which they came (fs/fuse/dev.c, fuse_dev_queue_req).
   */
  sort(): void {
    const { words } = this;
    const order = ({ slot }: ParkedRead): number => uniqueOf(words[2 * slot], words[2 * slot + 1]);
    const reads = this.#reads.filter((read) => read !== undefined);
    reads.sort((a, b) => order(a) - order(b));
    for (const read of reads) {
      read.handle.unpark(read);
      read.handle.park(read);
    }
  }

  /** Returns the id of the thread that waits; 0 if it has none in the daemon's PID namespace. */
  tidOf(slot: number): number {
    return this.#tids[slot];
  }

  /**
   * Marks the read in a slot as seen.
   * @returns false at the first call for a read, and true from then on
   */
  grow(slot: number): boolean {
    if (this.#ages[slot] !== Age.new) return true;
    this.#ages[slot] = Age.old;
    return false;
  }

  /**
   * Notes that the missed-interrupt poller need not look at the reader again.
   */
  markInterruptible(slot: number): void {
    this.#ages[slot] = Age.interruptible;
  }

  /** Returns whether `markInterruptible` was called for the read. */
  isInterruptible(slot: number): boolean {
    return this.#ages[slot] === Age.interruptible;
  }

  /**
   * Frees the slots of reads that got the same answer, and refunds their charges.
   * @param length the bytes of the answer
   */
  freeAnswered(reads: readonly ParkedRead[], length: number): void {
    // Readers often belong to one user: one refund for many of them is faster.
    let account: QuotaAccount | null = null;
    let count = 0;
    for (const read of reads) {
      const { slot, handle, size } = read;
      // The open file must know if the answer was shorter than its read: io_uring reads the rest.
      if (length > 0 && length < size)
        handle.gotShort(this.#tids[slot], 0, size - length, size >= LONG_READ_BYTES);
      const charged = this.#vacate(slot);
      if (charged === account) {
        count++;
        continue;
      }
      account?.refundReads(count, PARKED_READ_BYTES);
      account = charged;
      count = 1;
    }
    account?.refundReads(count, PARKED_READ_BYTES);
  }

  /** Frees the read's slot, and refunds its charge. */
  free(read: ParkedRead): void {
    this.#vacate(read.slot).refundReads(1, PARKED_READ_BYTES);
  }

  /**
   * Frees a slot.
   * @returns the account that its read is still charged to
   */
  #vacate(slot: number): QuotaAccount {
    this.#leave(slot);
    this.#reads[slot] = undefined;
    this.#free.push(slot);
    return this.#accounts[slot];
  }
}
