/** Filters in the books: what one takes of the heap, and what it costs an event. */
import { Filter, FilterError, type FilterLimits, OversizedFilter } from '../events/filter.js';
import { Errno, FsError } from '../errno.js';
import type { Ledger, Tab } from './quota.js';

/** What there must be where filters come from users. The tree is one. */
export interface FilterHost {
  readonly ledger: Ledger;
  /** How large a filter may be that comes from now on. */
  readonly filterLimits: FilterLimits;
}

/** What all begin with: everything is taken. */
export const EVERYTHING = Filter.parse('');

/** A number in the log, of an event that matched. */
const NUMBER_BYTES = 8;

/**
 * A filter from text.
 * @throws FsError EINVAL for a bad one, with the column, and for too many terms or alternatives; EFBIG for too long a text
 */
export function parse(text: string, limits: FilterLimits): Filter {
  try {
    return Filter.parse(text, limits);
  } catch (error) {
    if (error instanceof FilterError) throw new FsError(Errno.EINVAL, error.message);
    if (error instanceof OversizedFilter) throw new FsError(error.what === 'text' ? Errno.EFBIG : Errno.EINVAL, error.message);
    throw error;
  }
}

/**
 * Charges what one filter takes instead of another.
 * @throws FsError EDQUOT or ENOSPC where that is too much; then nothing has changed
 */
export function chargeFilter(tab: Tab, filter: Filter, instead: Filter = EVERYTHING): void {
  const memory = filter.memory - instead.memory;
  tab.claim('memory', memory);
  try {
    tab.claim('filter_cost', filter.cost - instead.cost);
  } catch (error) {
    tab.unclaim('memory', memory);
    throw error;
  }
}

/** Gives back what `chargeFilter` has charged. */
export function refundFilter(tab: Tab, filter: Filter): void {
  tab.unclaim('memory', filter.memory);
  tab.unclaim('filter_cost', filter.cost);
}

/**
 * What a filtered stream takes: the filter, and the numbers of those events in the ring that match.
 * @param ringEvents the most events that the ring has
 * @throws FsError EDQUOT or ENOSPC
 */
export function chargeFilteredStream(tab: Tab, filter: Filter, ringEvents: number): void {
  if (filter.all) return;
  chargeFilter(tab, filter);
  try {
    tab.claim('memory', NUMBER_BYTES * ringEvents);
  } catch (error) {
    refundFilter(tab, filter);
    throw error;
  }
}

/** Gives back what `chargeFilteredStream` has charged. */
export function refundFilteredStream(tab: Tab, filter: Filter, ringEvents: number): void {
  if (filter.all) return;
  tab.unclaim('memory', NUMBER_BYTES * ringEvents);
  refundFilter(tab, filter);
}
