/**
 * The growth of a written event: the check that everything that holds the event has room, and the
 * room that a queue makes for it.
 */
import type { Event, Holder } from '../../bus/event.js';
import type { EventQuota } from '../../bus/quota.js';
import { Errno, FsError } from '../../shared/errors.js';

/**
 * The most full queues that may drop other events to make room for an event that grows. Each queue
 * may drop 4,096 events, and a user may have 256 queues: without this bound, one write(2) would
 * take a third of a second.
 */
const MOST_FULL_QUEUES = 2;

/**
 * Checks that each queue and account that holds an event takes more bytes. It charges nothing: a
 * queue is charged after it has made room.
 * @param holders the queues that hold the event, and the number of links of each
 * @param keeper the account charged while only open files hold the event
 * @param bytes the bytes of text that the event grows by
 * @throws FsError EDQUOT or ENOSPC if one of them has no room
 */
export function assertGrowthFits(
  holders: ReadonlyMap<Holder, number>,
  keeper: EventQuota | null,
  bytes: number,
): void {
  assertQueuesTake(holders, bytes);
  const owed: [EventQuota | null, number][] = [...holders].map(([{ quota }, links]) => [
    quota,
    bytes * links,
  ]);
  owed.push([keeper, bytes]);
  // The trial charges show only whether the bytes fit, because two queues may share an account.
  const charged: [EventQuota, number][] = [];
  let refusing: [EventQuota, number] | null = null;
  for (const [quota, amount] of owed) {
    if (quota === null) continue;
    if (!quota.tryCharge(0, amount, 0)) {
      refusing = [quota, amount];
      break;
    }
    charged.push([quota, amount]);
  }
  for (const [quota, amount] of charged) quota.refund(0, amount, 0);
  if (refusing === null) return;
  const [quota, amount] = refusing;
  quota.assertFits(0, amount, 0);
  throw new FsError(Errno.EDQUOT, 'the links to the event together exceed a quota of bytes');
}

/** @throws FsError EDQUOT if a queue refuses the bytes, or if too many queues would drop events */
function assertQueuesTake(holders: ReadonlyMap<Holder, number>, bytes: number): void {
  let full = 0;
  for (const [holder, links] of holders) {
    if (holder.refuses(0, bytes * links))
      throw new FsError(Errno.EDQUOT, 'a queue that holds the event is full');
    if (holder.overflows(0, bytes * links) && ++full > MOST_FULL_QUEUES)
      throw new FsError(
        Errno.EDQUOT,
        `more than ${MOST_FULL_QUEUES} of the queues that hold the event are full`,
      );
  }
}

/**
 * Makes room in a queue for each of its links to a written event. The queue may drop some of these
 * links on the way: then call this again, with the smaller need of the others.
 * @param holder the queue
 * @param holders the queues that hold the event, and the number of links of each
 * @param bytes the bytes of text that the event grows by
 */
export function makeRoomIn(
  holder: Holder,
  holders: ReadonlyMap<Holder, number>,
  bytes: number,
  event: Event,
): void {
  for (let before = 0, links = holders.get(holder) ?? 0; links > 0 && links !== before;) {
    holder.makeRoom(0, bytes * links, event);
    before = links;
    links = holders.get(holder) ?? 0;
  }
}
