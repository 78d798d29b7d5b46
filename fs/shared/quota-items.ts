/** What quotas bound. The ledger charges these, the configuration sets their bounds, and `.status` shows both. */
export const ITEMS = [
  'directories',
  'streams',
  'reads',
  'events',
  'bytes',
  'memory',
  'filter_cost',
] as const;
export type Item = (typeof ITEMS)[number];

/** Whose bound it is: the whole mount's, a user's or a group's. */
export type QuotaKind = 'mount' | 'uid' | 'gid';

/** A limit that can refuse an operation. */
export type Limit = 'reads' | `${QuotaKind}_${Item}`;
