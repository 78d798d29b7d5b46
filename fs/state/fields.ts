/** The types of the fields of records. */

/** The type of a field. */
export type FieldType = 'number' | 'text' | 'bytes';

/** One kind of record. */
export interface KindSchema {
  /** Its number in a record. */
  readonly id: number;
  /** How many of the first fields are the key. 0: there is one such thing. */
  readonly keys: 0 | 1 | 2;
  readonly fields: Readonly<Record<string, FieldType>>;
}

export const N = 'number';
export const T = 'text';
export const B = 'bytes';

/** The times of a file. */
export const TIMES = {
  accessedSec: N,
  accessedNsec: N,
  modifiedSec: N,
  modifiedNsec: N,
  changedSec: N,
  changedNsec: N,
} as const;
export const BORN = { bornSec: N, bornNsec: N } as const;
