/** The rate of events of the last minute, from the times that the log keeps anyway. */
import type { Log } from './log.js';
import type { LogIndex } from './event.js';
import type { Timestamp } from '../shared/timestamp.js';

/** The longest time that the rate is an average of, in seconds. */
export const RATE_SECONDS = 60;
/** The shortest time, in seconds: the clock of events counts milliseconds. */
const LEAST_SECONDS = 0.001;

/**
 * Returns the average rate of all events over the last minute. If the ring does not reach that far
 * back, it is the average since its oldest event.
 *
 * @param nowMs the present time, in milliseconds since the epoch
 * @param startMs the start of the daemon, in the same unit
 * @returns events a second
 */
export function recentRate(log: Log, nowMs: number, startMs: number): number {
  const { oldest, next } = log;
  const since = Math.max(nowMs - RATE_SECONDS * 1000, startMs);
  let low = oldest;
  let high = next;
  while (low < high) {
    const middle = Math.floor((low + high) / 2) as LogIndex;
    if (millisecondsOf(log.at(middle).time) < since) low = (middle + 1) as LogIndex;
    else high = middle;
  }
  // The ring has overwritten older events, which may be of the same minute.
  const isCut = low === oldest && oldest > 0 && next > oldest;
  const from = isCut ? millisecondsOf(log.at(oldest).time) : since;
  const seconds = Math.max((nowMs - from) / 1000, LEAST_SECONDS);
  return (next - low) / seconds;
}

function millisecondsOf({ sec, nsec }: Timestamp): number {
  return sec * 1000 + nsec / 1_000_000;
}
