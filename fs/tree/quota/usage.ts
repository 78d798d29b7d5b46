/** The amounts that one user, one group or the mount holds. */
import { Errno, FsError } from '../../shared/errors.js';
import { ASSERTS, broken } from '../../shared/invariant.js';
import { ITEMS, type Item, type QuotaKind } from '../../shared/quota-items.js';
import { type Bounds, copyOf } from './bounds.js';

/**
 * The share of a bound on memory by which open files may exceed it: a user can read what holds the
 * memory, and so free it. Of the mount's memory the share is root's.
 */
const RESERVE_SHARE = 1 / 16;

/** The amounts that one user, one group or the mount holds, and their bounds. */
export class QuotaUsage {
  directories = 0;
  streams = 0;
  reads = 0;
  events = 0;
  bytes = 0;
  memory = 0;
  filter_cost = 0;
  /**
   * Whether the ledger has dropped this usage, because it held nothing. The ledger may have another
   * usage for the same id by now.
   */
  isForgotten = false;
  #bounds: Bounds;
  /** Null until it is asked for. */
  #isBounded: boolean | null = null;

  constructor(
    readonly kind: QuotaKind,
    /** The uid or gid; 0 for the mount. */
    readonly id: number,
    bounds: Bounds,
  ) {
    this.#bounds = copyOf(bounds);
  }

  get bounds(): Bounds {
    return this.#bounds;
  }

  set bounds(bounds: Bounds) {
    this.#bounds = copyOf(bounds);
    this.#isBounded = null;
  }

  /** Whether an item has a bound. */
  get isBounded(): boolean {
    // Kept: `.status` asks all users, of whom there may be a hundred thousand.
    return (this.#isBounded ??= ITEMS.some((item) => this.#bounds[item] !== Infinity));
  }

  /** A name for messages, as in `uid 1000`. */
  get name(): string {
    return this.kind === 'mount' ? 'the mount' : `${this.kind} ${this.id}`;
  }

  /** Whether no amount of any item is held. */
  get isEmpty(): boolean {
    // Memory first: nearly everything costs memory, so most calls end there.
    return this.memory === 0 && ITEMS.every((item) => this[item] === 0);
  }

  /**
   * Checks whether these amounts fit the bounds. An amount of 0 or less always fits.
   * @param events the number of events
   * @param bytes bytes of text
   * @param memory bytes of memory, the price of the entries included
   */
  fits(events: number, bytes: number, memory: number): boolean {
    const bounds = this.#bounds;
    return (
      (events <= 0 || this.events + events <= bounds.events) &&
      (bytes <= 0 || this.bytes + bytes <= bounds.bytes) &&
      (memory <= 0 || this.memory + memory <= bounds.memory)
    );
  }

  /**
   * Does the same as `fits`, but a negative amount stands for a refund that comes first: it does
   * not fit if even then more is held than the bound allows.
   */
  fitsAfter(events: number, bytes: number, memory: number): boolean {
    const bounds = this.#bounds;
    return (
      this.events + events <= bounds.events &&
      this.bytes + bytes <= bounds.bytes &&
      this.memory + memory <= bounds.memory
    );
  }

  /**
   * Adds amounts without a check; negative amounts subtract. The parameters are those of `fits`.
   */
  add(events: number, bytes: number, memory: number): void {
    this.events += events;
    this.bytes += bytes;
    this.memory += memory;
    if (ASSERTS) this.#check();
  }

  /** Adds an amount of one item without a check; a negative amount subtracts. */
  addItem(item: Item, amount: number): void {
    this[item] += amount;
    if (ASSERTS) this.#check();
  }

  /**
   * Checks an invariant: no refund exceeds what was charged.
   * @throws InvariantError if an amount is negative
   */
  #check(): void {
    for (const item of ITEMS)
      if (this[item] < 0)
        broken(`${this.name} is charged ${this[item]} ${item}, which must not be negative`);
  }

  /** Checks whether `amount` more is within the bound. An amount of 0 or less always fits. */
  fitsItem(item: Item, amount: number): boolean {
    return amount <= 0 || this[item] + amount <= this.#bounds[item];
  }

  /** Checks whether memory for reading is within the bound and its reserve. */
  fitsReserve(memory: number): boolean {
    return this.memory + memory <= this.#bounds.memory * (1 + RESERVE_SHARE);
  }

  /**
   * Checks whether one more blocked read is within the bounds.
   * @param memory the read's price, in bytes
   */
  fitsRead(memory: number): boolean {
    const bounds = this.#bounds;
    return this.reads < bounds.reads && this.memory + memory <= bounds.memory;
  }

  /**
   * Adds blocked reads and their memory without a check; negative amounts subtract.
   * @param reads the number of reads
   * @param memory bytes of memory
   */
  addRead(reads: number, memory: number): void {
    this.reads += reads;
    this.memory += memory;
    if (ASSERTS) this.#check();
  }

  /**
   * Makes the error for an amount that does not fit: EDQUOT, or ENOSPC if the mount's bound refuses
   * it.
   */
  refusal(item: Item, amount: number): FsError {
    const why = `${this.name} holds ${this[item]} of ${this.#bounds[item]} ${item}`;
    return new FsError(
      this.kind === 'mount' ? Errno.ENOSPC : Errno.EDQUOT,
      amount === 1 ? why : `${why}, and ${amount} more do not fit`,
    );
  }
}

/** The usages of all users and groups, as an account sees them. The ledger implements it. */
export interface UsageTable {
  /**
   * Returns the present usage of the same user or group: another one, if the table has made one
   * since it dropped `usage`; else `usage` itself, which the table takes in again.
   */
  find(usage: QuotaUsage): QuotaUsage;
  /** Drops the usages that hold nothing. An account may still refer to them. */
  forget(user: QuotaUsage, group: QuotaUsage): void;
  /**
   * Checks that `amount` more of an item fits in each of the usages, and counts a refusal.
   * @throws FsError EDQUOT, or ENOSPC if the mount's bound refuses it
   */
  assertFits(usages: readonly QuotaUsage[], item: Item, amount: number): void;
}
