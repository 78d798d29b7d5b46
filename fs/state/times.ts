/** Times in records: two fields each, seconds and nanoseconds. */
import type { Timestamp } from '../shared/timestamp.js';

/** The two fields of a time. */
export type TimeFields<Name extends string> = { [F in `${Name}Sec` | `${Name}Nsec`]: number };

/** Returns the two fields of a time. */
export function timeFields<Name extends string>(
  name: Name,
  { sec, nsec }: Timestamp,
): TimeFields<Name> {
  return { [`${name}Sec`]: sec, [`${name}Nsec`]: nsec } as TimeFields<Name>;
}

/** Returns the time that two fields have. */
export function timeOf<Name extends string>(fields: TimeFields<Name>, name: Name): Timestamp {
  return { sec: fields[`${name}Sec`], nsec: fields[`${name}Nsec`] };
}
