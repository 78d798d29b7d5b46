/**
 * The account of a queue's events and bytes. tree/quota/account.ts implements it, with usages per
 * user, per group and for the mount.
 */
export interface EventQuota {
  /** The user and group of the account. */
  readonly uid: number;
  readonly gid: number;
  /**
   * Charges events that a queue takes in.
   * @param events how many
   * @param bytes of text
   * @param heap bytes of heap beyond the price of each entry: names, and the data of an event
   *   besides its text
   * @returns false, with nothing charged, if it exceeds a quota
   */
  tryCharge(events: number, bytes: number, heap: number): boolean;
  /**
   * Charges even beyond a quota, because a refusal is impossible: for amounts that `assertFits` has
   * checked before, and for events that a queue has let go of while open files still hold them.
   */
  forceCharge(events: number, bytes: number, heap: number): void;
  /** Refunds amounts that were charged. */
  refund(events: number, bytes: number, heap: number): void;
  /**
   * Returns whether that much more would fit. An amount below zero stands for a refund that the
   * caller would make before.
   */
  fits(events: number, bytes: number, heap: number): boolean;
  /** @throws FsError EDQUOT or ENOSPC, with the reason, if that much more does not fit */
  assertFits(events: number, bytes: number, heap: number): void;
}
