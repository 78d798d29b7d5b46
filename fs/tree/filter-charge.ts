/** What a filter is charged: what it takes of the heap, and what it costs an event. */
import {
  Filter,
  FilterError,
  type FilterLimits,
  OversizedFilter,
} from '../uevent/filter/filter.js';
import { Errno, FsError } from '../shared/errors.js';
import type { QuotaLedger, QuotaAccount } from './quota.js';

/** What there must be where filters come from users. The tree is one. */
export interface FilterHost {
  readonly ledger: QuotaLedger;
  /** How large a filter may be that comes from now on. */
  readonly filterLimits: FilterLimits;
}

/** What all begin with: everything is taken. */
export const EVERYTHING = Filter.parse('');

/**
 * A filter from text.
 * @throws FsError EINVAL for a bad one, with the column, and for too many terms or alternatives; EFBIG for too long a text
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
 * Charges what one filter takes instead of another.
 * @throws FsError EDQUOT or ENOSPC where that is too much; then nothing has changed
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

/** Gives back what `chargeFilter` has charged. */
export function refundFilter(account: QuotaAccount, filter: Filter): void {
  account.refundAll({ memory: filter.memory, filter_cost: filter.cost });
}
