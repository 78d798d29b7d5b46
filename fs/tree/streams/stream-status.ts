/** The lines of `log/.status` about the open files of `stream` and `match/`. */
import { type StatusLine, type StatusLines, subscriberText } from '../../shared/status-lines.js';
import type { Streams } from './streams.js';

/** The most streams that `.status` lists. */
const MOST_LISTED = 256;

/**
 * Returns a line `STREAM_0=pid=...` for each of the first 256 streams, and the number of the
 * others.
 */
export function streamLines(streams: Streams): StatusLines {
  const lines: StatusLine[] = [];
  for (const group of streams.groups.values()) {
    const filter = group.filter.text;
    for (const { openerPid: pid, id, added, cursor } of group.handles) {
      const { pending, lost } = cursor;
      lines.push([
        `STREAM_${lines.length}`,
        subscriberText({ pid, id, pending, lost, added, filter }),
      ]);
      if (lines.length === MOST_LISTED && streams.size > MOST_LISTED) {
        lines.push(['STREAMS_NOT_LISTED', streams.size - MOST_LISTED]);
        return lines;
      }
    }
  }
  return lines;
}

/** The events of all subscribers of one kind. */
export interface Totals {
  /** How many events wait for them. */
  readonly pending: number;
  /** The largest number of events that waits for one of them. */
  readonly most: number;
  /** How many events they have lost; those that have ended are included. */
  readonly lost: number;
}

/** Returns the totals of all streams. */
export function streamTotals(streams: Streams): Totals {
  let [pending, most, lost] = [0, 0, streams.lostByClosed];
  for (const { handles } of streams.groups.values()) {
    for (const { cursor } of handles) {
      pending += cursor.pending;
      most = Math.max(most, cursor.pending);
      lost += cursor.lost;
    }
  }
  return { pending, most, lost };
}
