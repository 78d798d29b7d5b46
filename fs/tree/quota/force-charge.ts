/**
 * Charges the prices of things that exist already: those that a daemon before this one has made.
 */
import { ITEMS } from '../../shared/quota-items.js';
import type { QuotaAccount } from './account.js';
import type { Bounds } from './bounds.js';

/** Charges amounts of several items even if that exceeds a quota. */
export function forceChargeAll(account: QuotaAccount, amounts: Partial<Bounds>): void {
  for (const item of ITEMS) account.forceChargeItem(item, amounts[item] ?? 0);
}
