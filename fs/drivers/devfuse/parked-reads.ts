/** The reads that wait, by slot. A slot's `unique` lies in memory that the channel answers from. */
import { InHeader } from '../../fuse/abi.js';
import type { Handle, ParkedRead } from '../../tree/nodes/node.js';
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
   * Slots by `unique`, plus one, 0 where there is none: open addressing, at most half full. When a thousand readers are killed each
   * has its INTERRUPT, and a search among all of them would hold everybody up.
   */
  readonly #table: Int32Array;
  readonly #mask: number;

  /** @param most how many reads can wait at once @param ledger where each is charged to the user who reads */
  constructor(
    private readonly most: number,
    private readonly ledger: QuotaLedger,
  ) {
    const places = 2 ** Math.ceil(Math.log2(2 * most));
    this.#table = new Int32Array(places);
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
    if (!account.tryChargeItem('reads', 1)) return undefined;
    if (!account.tryChargeItem('memory', PARKED_READ_BYTES)) {
      account.refundItem('reads');
      return undefined;
    }
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
    for (let place = this.#home(uniqueLow, uniqueHigh); ; place = (place + 1) & this.#mask) {
      const slot = this.#table[place] - 1;
      if (slot < 0) return undefined;
      if (words[slot * 2] === uniqueLow && words[slot * 2 + 1] === uniqueHigh) return this.#reads[slot];
    }
  }

  /** Where a `unique` is looked for first. The kernel counts them up in steps of two (fs/fuse/fuse_i.h, FUSE_REQ_ID_STEP). */
  #home(uniqueLow: number, uniqueHigh: number): number {
    return ((uniqueLow >>> 1) ^ Math.imul(uniqueHigh, 0x9e3779b1)) & this.#mask;
  }

  #homeOf(slot: number): number {
    return this.#home(this.#words[slot * 2], this.#words[slot * 2 + 1]);
  }

  #enter(slot: number): void {
    let place = this.#homeOf(slot);
    while (this.#table[place] !== 0) place = (place + 1) & this.#mask;
    this.#table[place] = slot + 1;
  }

  /** Takes a slot out, and closes the gap for those that stand behind it since their own places were taken. */
  #leave(slot: number): void {
    const table = this.#table;
    const mask = this.#mask;
    let gap = this.#homeOf(slot);
    while (table[gap] !== slot + 1) gap = (gap + 1) & mask;
    for (let place = (gap + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      // How far it is from its home, against how far the gap is.
      const home = this.#homeOf(table[place] - 1);
      if (((place - home) & mask) < ((place - gap) & mask)) continue;
      table[gap] = table[place];
      gap = place;
    }
    table[gap] = 0;
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

  free(read: ParkedRead): void {
    const { slot } = read;
    this.#leave(slot);
    this.#reads[slot] = undefined;
    this.#free.push(slot);
    const account = this.#accounts[slot]!;
    this.#accounts[slot] = undefined;
    account.forceChargeItem('memory', -PARKED_READ_BYTES);
    account.refundItem('reads');
  }
}
