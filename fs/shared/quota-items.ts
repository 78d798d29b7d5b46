/**
 * The items that quotas bound. The ledger charges them, the configuration sets their bounds, and
 * `.status` shows both.
 */
export const ITEMS = [
  'directories',
  'streams',
  'reads',
  'events',
  'bytes',
  'memory',
  'filter_cost',
] as const;
/** An item that a quota bounds. */
export type Item = (typeof ITEMS)[number];

/** The holder of a bound: the whole mount, a user or a group. */
export type QuotaKind = 'mount' | 'uid' | 'gid';

/** A limit that can refuse an operation. */
export type Limit = 'reads' | `${QuotaKind}_${Item}`;
