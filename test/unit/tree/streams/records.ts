/** The records and results that tests of streams compare. */
import type { Pending } from '../../../support/memory/connection.js';

/** The readiness of a stream with an event: POLLIN and POLLRDNORM. */
export const POLLIN = 0x41;

/** Returns the record of `kernel.event(seqnum)`. */
export function record(seqnum: number): string {
  return `add@/devices/x\nACTION=add\nSUBSYSTEM=mem\nSEQNUM=${seqnum}\n\n`;
}

/** Returns the records of several events. */
export function recordsOf(...seqnums: number[]): string {
  return seqnums.map(record).join('');
}

/** Returns the results of reads; undefined for a blocked one. */
export function results(reads: readonly Pending[]): (string | undefined)[] {
  return reads.map(({ result }) => result);
}
