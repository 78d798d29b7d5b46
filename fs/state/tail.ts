/** The end of one half of the journal. */
import type { StateLayout } from './layout.js';

/** Where the next record of a half goes. */
export interface Tail {
  readonly half: 0 | 1;
  /** The offset of the half, in 8-byte words. */
  readonly base: number;
  /** The end of the records, in 8-byte words from the beginning of the memory. */
  at: number;
  /** The end of the memory that the half may write to, in 8-byte words. */
  reserved: number;
}

/** Returns the end of the committed records of a half. */
export function tailOf(layout: StateLayout, half: 0 | 1): Tail {
  const base = layout.halves[half] / 8;
  const at = base + layout.committed(half);
  return { half, base, at, reserved: at };
}
