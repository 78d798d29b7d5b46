/** An account charges one user together with one group. */
import type { EventQuota } from '../../bus/quota.js';
import { Errno, FsError } from '../../shared/errors.js';
import { ITEMS, type Item } from '../../shared/quota-items.js';
import { LINK_BYTES } from '../prices.js';
import type { Bounds } from './bounds.js';
import type { QuotaUsage, UsageTable } from './usage.js';

/**
 * Charges one user together with one group: the usage of both and of the mount. A caller may keep
 * it for long: the ledger drops a usage that holds nothing, and the account finds the ledger's
 * present usage at the next charge.
 *
 * The parameters of the methods for events: `events` is a number of entries, `bytes` are bytes of
 * text, `heap` are bytes of memory beyond LINK_BYTES an entry.
 */
export class QuotaAccount implements EventQuota {
  constructor(
    private readonly usages: UsageTable,
    private user: QuotaUsage,
    private group: QuotaUsage,
    private readonly mount: QuotaUsage,
  ) {}

  get uid(): number {
    return this.user.id;
  }

  get gid(): number {
    return this.group.id;
  }

  /**
   * Charges events.
   * @returns false, with nothing charged, if a quota refuses them
   */
  tryCharge(events: number, bytes: number, heap: number): boolean {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    const { user, group, mount } = this;
    const memory = events * LINK_BYTES + heap;
    if (
      !user.fits(events, bytes, memory) ||
      !group.fits(events, bytes, memory) ||
      !mount.fits(events, bytes, memory)
    ) {
      this.usages.forget(user, group);
      return false;
    }
    this.#add(events, bytes, memory);
    return true;
  }

  /** Refunds charged events. */
  refund(events: number, bytes: number, heap: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.#add(-events, -bytes, -(events * LINK_BYTES + heap));
    this.usages.forget(this.user, this.group);
  }

  #add(events: number, bytes: number, memory: number): void {
    this.user.add(events, bytes, memory);
    this.group.add(events, bytes, memory);
    this.mount.add(events, bytes, memory);
  }

  /**
   * Checks whether these amounts would fit the bounds, and charges nothing. A negative amount
   * stands for a refund that comes first; it does not fit if even then more is held than the bound
   * allows.
   */
  fits(events: number, bytes: number, heap: number): boolean {
    const memory = events * LINK_BYTES + heap;
    return (
      this.user.fitsAfter(events, bytes, memory) &&
      this.group.fitsAfter(events, bytes, memory) &&
      this.mount.fitsAfter(events, bytes, memory)
    );
  }

  /**
   * Checks that events fit, and charges nothing.
   * @throws FsError EDQUOT if a quota of the user or group refuses them, ENOSPC if the mount's does
   */
  assertFits(events: number, bytes: number, heap: number): void {
    this.assertAllFit({ events, bytes, memory: events * LINK_BYTES + heap });
  }

  /**
   * Checks that amounts of several items fit, and charges nothing.
   * @throws FsError as `chargeItem` does
   */
  assertAllFit(amounts: Partial<Bounds>): void {
    this.#assertFitIn(this.#all, amounts);
  }

  /**
   * Checks that events from another account fit, and charges nothing.
   * @param from the account that is charged for the events now; a usage that both accounts share
   * counts them already and is not checked
   * @throws FsError as `assertFits` does
   */
  assertFitsFrom(from: QuotaAccount, events: number, bytes: number, heap: number): void {
    this.#assertFitIn(this.#differing(from), { events, bytes, memory: events * LINK_BYTES + heap });
  }

  #assertFitIn(usages: readonly QuotaUsage[], amounts: Partial<Bounds>): void {
    try {
      for (const item of ITEMS) this.usages.assertFits(usages, item, amounts[item] ?? 0);
    } catch (error) {
      this.usages.forget(this.user, this.group);
      throw error;
    }
  }

  /**
   * Charges `amount` of an item.
   * @throws FsError EDQUOT if a quota of the user or group refuses it, ENOSPC if the mount's does;
   * then nothing is charged
   */
  chargeItem(item: Item, amount = 1): void {
    if (!this.tryChargeItem(item, amount)) this.#refuse(item, amount);
  }

  /**
   * Charges amounts of several items.
   * @throws FsError as `chargeItem` does; then nothing is charged
   */
  chargeAll(amounts: Partial<Bounds>): void {
    this.assertAllFit(amounts);
    for (const item of ITEMS) this.forceChargeItem(item, amounts[item] ?? 0);
  }

  /** Checks whether `chargeItem` would succeed. */
  fitsItem(item: Item, amount: number): boolean {
    return (
      this.user.fitsItem(item, amount) &&
      this.group.fitsItem(item, amount) &&
      this.mount.fitsItem(item, amount)
    );
  }

  /**
   * Charges `amount` of an item.
   * @returns false, with nothing charged, if a quota refuses it
   */
  tryChargeItem(item: Item, amount: number): boolean {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    const { user, group, mount } = this;
    if (
      !user.fitsItem(item, amount) ||
      !group.fitsItem(item, amount) ||
      !mount.fitsItem(item, amount)
    ) {
      this.usages.forget(user, group);
      return false;
    }
    user.addItem(item, amount);
    group.addItem(item, amount);
    mount.addItem(item, amount);
    return true;
  }

  /**
   * Charges a blocked read and its memory, in one step: that is faster than two, and a thousand
   * reads may block for each event.
   * @param memory the read's price, in bytes
   * @returns false, with nothing charged, if a quota refuses it
   */
  tryChargeRead(memory: number): boolean {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    const { user, group, mount } = this;
    if (!user.fitsRead(memory) || !group.fitsRead(memory) || !mount.fitsRead(memory)) {
      this.usages.forget(user, group);
      return false;
    }
    user.addRead(1, memory);
    group.addRead(1, memory);
    mount.addRead(1, memory);
    return true;
  }

  /**
   * Refunds reads that `tryChargeRead` has charged.
   * @param memory the price of each, in bytes
   */
  refundReads(count: number, memory: number): void {
    const { user, group, mount } = this;
    user.addRead(-count, -count * memory);
    group.addRead(-count, -count * memory);
    mount.addRead(-count, -count * memory);
    this.usages.forget(user, group);
  }

  /**
   * Charges the memory of an open file. It may take the user's reserve, so that a user whose memory
   * is used up can look into the mount, and root that of the mount.
   * @param heap the open file's price, in bytes
   * @returns false, with nothing charged, if a quota refuses it
   */
  tryChargeOpen(heap: number): boolean {
    // Each open(2) comes here: this is faster than an item that is looked up by its name.
    if (this.tryCharge(0, 0, heap)) return true;
    if (!this.fitsForReading(heap)) return false;
    this.forceChargeItem('memory', heap);
    return true;
  }

  /** Checks whether memory that a reader needs fits, with the reserve. */
  fitsForReading(heap: number): boolean {
    const [user, group, mount] = this.#all;
    return (
      user.fitsReserve(heap) &&
      group.fitsReserve(heap) &&
      (user.id === 0 ? mount.fitsReserve(heap) : mount.fitsItem('memory', heap))
    );
  }

  /**
   * Returns whether one more of an item does not fit this account, and a refund to `other` brings
   * it nearer.
   */
  isHelpedBy(other: QuotaAccount, item: Item): boolean {
    const others = other.#all;
    return this.#all.some((usage) => !usage.fitsItem(item, 1) && others.includes(usage));
  }

  /** Throws the error of `chargeItem` for an amount that does not fit. */
  #refuse(item: Item, amount: number): never {
    this.#assertFitIn(this.#all, { [item]: amount });
    throw new FsError(Errno.EDQUOT, 'a quota of the user or group is used up');
  }

  /**
   * Charges `amount` of an item even if that exceeds a quota. For a charge that can't be refused
   * any more.
   */
  forceChargeItem(item: Item, amount: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.user.addItem(item, amount);
    this.group.addItem(item, amount);
    this.mount.addItem(item, amount);
  }

  /** Refunds `amount` of an item. */
  refundItem(item: Item, amount = 1): void {
    const { user, group, mount } = this;
    user.addItem(item, -amount);
    group.addItem(item, -amount);
    mount.addItem(item, -amount);
    this.usages.forget(user, group);
  }

  /** Refunds amounts of several items. */
  refundAll(amounts: Partial<Bounds>): void {
    for (const item of ITEMS) this.forceChargeItem(item, -(amounts[item] ?? 0));
    this.usages.forget(this.user, this.group);
  }

  /** Charges events even if that exceeds a quota. For a charge that can't be refused any more. */
  forceCharge(events: number, bytes: number, heap: number): void {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    this.#add(events, bytes, events * LINK_BYTES + heap);
  }

  /**
   * Moves a charge to another account, as chown(2) needs it.
   * @param to the account that is charged from now on
   * @param held the amounts to move
   * @throws FsError EDQUOT if a quota of the new user or group refuses them; then nothing has
   * changed
   */
  moveTo(to: QuotaAccount, held: Partial<Bounds>): void {
    const [taking, giving] = [to.#differing(this), this.#differing(to)];
    to.#assertFitIn(taking, held);
    for (const item of ITEMS) {
      for (const usage of taking) usage.addItem(item, held[item] ?? 0);
      for (const usage of giving) usage.addItem(item, -(held[item] ?? 0));
    }
    this.usages.forget(this.user, this.group);
  }

  /** Returns the usages of this account that are not `other`'s too. */
  #differing(other: QuotaAccount): QuotaUsage[] {
    const others = other.#all;
    return this.#all.filter((usage) => !others.includes(usage));
  }

  get #all(): QuotaUsage[] {
    if (this.user.isForgotten || this.group.isForgotten) this.#find();
    return [this.user, this.group, this.mount];
  }

  #find(): void {
    this.user = this.usages.find(this.user);
    this.group = this.usages.find(this.group);
  }
}
