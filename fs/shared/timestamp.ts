/** Times since the epoch, as the kernel has them. */
import { clock } from './clock.js';

/** Seconds and nanoseconds since the epoch (struct timespec). */
export interface Timestamp {
  readonly sec: number;
  readonly nsec: number;
}

/** Returns the current time, in whole milliseconds. */
export function now(): Timestamp {
  const ms = clock.epochMs();
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1_000_000 };
}
