/** Where a queue's events and bytes are charged: tree/quota.ts counts, per user, group and mount. */
export interface EventQuota {
  /**
   * Charges what a queue takes in.
   * @param events how many
   * @param bytes of text
   * @param heap what they cost beyond what each entry does, in bytes: names, and what an event keeps besides its text
   * @returns false, with nothing charged, where it would be too much
   */
  tryCharge(events: number, bytes: number, heap: number): boolean;
  /** Charges what can't be refused: what was asked for by `assertFits`, and what open files hold of a queue that let go of it. */
  forceCharge(events: number, bytes: number, heap: number): void;
  /** Gives back what was charged. */
  refund(events: number, bytes: number, heap: number): void;
  /** Whether so much more would fit. Amounts below zero stand for what will have been given back by then. */
  fits(events: number, bytes: number, heap: number): boolean;
  /** @throws FsError EDQUOT or ENOSPC, with the reason, where so much more does not fit */
  assertFits(events: number, bytes: number, heap: number): void;
}
