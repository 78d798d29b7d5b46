/** The orders of the table of `eventfs top`, in the order in which the key `s` changes them. */
export const SORTS = ['waiting', 'rate', 'lost', 'name'] as const;

/** An order of the table. */
export type Sort = (typeof SORTS)[number];
