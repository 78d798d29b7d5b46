/** Parses a user's filter, and charges the user for its heap memory and for its cost an event. */
import {
  Filter,
  FilterError,
  type FilterLimits,
  OversizedFilter,
} from '../uevent/filter/filter.js';
import { Errno, FsError } from '../shared/errors.js';
import type { QuotaAccount } from './quota/account.js';
import type { QuotaLedger } from './quota/ledger.js';

/** The needs of code that accepts filters from users. The tree implements it. */
export interface FilterHost {
  readonly ledger: QuotaLedger;
  /** The bounds of a new filter. */
  readonly filterLimits: FilterLimits;
}

/**
 * The filter that matches every event. Each directory and each unfiltered stream begins with it.
 */
export const EVERYTHING = Filter.parse('');

/**
 * Parses a filter that a user has written.
 * @param text the filter in udev's match syntax
 * @param limits the bounds of its size
 * @returns the filter
 * @throws FsError EINVAL if the text is no valid filter, with the column, or if it has too many
 * terms or alternatives; EFBIG if the text is too long
 */
export function parse(text: string, limits: FilterLimits): Filter {
  try {
    return Filter.parse(text, limits);
  } catch (error) {
    if (error instanceof FilterError) throw new FsError(Errno.EINVAL, error.message);
    if (error instanceof OversizedFilter)
      throw new FsError(error.what === 'text' ? Errno.EFBIG : Errno.EINVAL, error.message);
    throw error;
  }
}

/**
 * Charges a filter that replaces another: the difference between the two.
 * @param account charged with the memory, in bytes, and the filter cost
 * @param filter the new filter
 * @param instead the filter that it replaces
 * @throws FsError EDQUOT or ENOSPC if the difference exceeds a quota; then nothing is charged
 */
export function chargeFilter(
  account: QuotaAccount,
  filter: Filter,
  instead: Filter = EVERYTHING,
): void {
  account.chargeAll({
    memory: filter.memory - instead.memory,
    filter_cost: filter.cost - instead.cost,
  });
}

/** Refunds a filter that `chargeFilter` has charged to the account. */
export function refundFilter(account: QuotaAccount, filter: Filter): void {
  account.refundAll({ memory: filter.memory, filter_cost: filter.cost });
}
