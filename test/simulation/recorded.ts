/** The replies that a killed daemon has recorded, and that the kernel does not have. */
import type { StateLayout } from '../../fs/state/layout.js';
import type { StateTable } from '../../fs/state/table.js';
import type { SimReply, SimRequest } from './machine/request.js';
import { check } from './model/model.js';

/**
 * Checks that no record of a reader's place has outlived its open file: another may get its number.
 */
export function checkPlaces(table: StateTable): void {
  for (const fh of table.keys('cursor'))
    check(
      table.get('handle', fh) !== undefined,
      () => `the state has a place of file ${fh}, which is closed`,
    );
}

/** A request that is sent again, with its recorded reply. */
interface Recorded {
  readonly request: SimRequest;
  readonly transaction: number;
  readonly reply: SimReply;
}

/**
 * Returns the recorded replies of the requests that the kernel sends again, in the order in which
 * they took effect.
 *
 * @param unanswered the requests that a daemon has read, and that have no reply
 * @param isWaiting whether a request is a blocked READ: those of an ended directory fail after the
 *   request that has ended it
 */
export function recordedReplies(
  layout: StateLayout,
  table: StateTable,
  unanswered: readonly SimRequest[],
  isWaiting: (request: SimRequest) => boolean,
): readonly Recorded[] {
  const { sent, ring } = layout;
  const resent = new Map<number, SimRequest>();
  for (const request of unanswered) resent.set(request.unique, request);
  const replies: Recorded[] = [];
  for (const record of table.all('reply')) {
    const { unique, transaction, error, bytes, sliceStart, sliceLength, others } = record;
    if (transaction <= sent) continue;
    const slice = ring.subarray(sliceStart, sliceStart + sliceLength);
    const reply = { errno: -error, body: Buffer.concat([bytes, slice]) };
    const distances = new Int32Array(new Uint8Array(others).buffer);
    for (const one of [unique, ...[...distances].map((distance) => unique + distance)]) {
      const request = resent.get(one);
      if (request !== undefined) replies.push({ request, transaction, reply });
    }
  }
  return replies.sort(
    (a, b) =>
      a.transaction - b.transaction || Number(isWaiting(a.request)) - Number(isWaiting(b.request)),
  );
}
