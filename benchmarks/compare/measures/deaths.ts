/** What is left of subscribers that were killed, for how long, and what of it could still be reached. */
import { FilesPeer } from '../designs/files-peer.js';
import type { Left, Peer } from '../designs/peer.js';

const CATCH_UP_TIMEOUT_MS = 20_000;
/** What is still there then stays. */
export const WATCHED_MS = 2000;
const LOOK_EVERY_MS = 5;
/** Events that wait for each of those who will be killed. */
const WAITING_EVENTS = 8;

export type Victims = 'subscribers' | 'wrappers too' | 'catch-all too';

export interface Deaths {
  readonly victims: Victims;
  readonly killed: number;
  readonly tried: number;
  readonly reached: number;
  readonly held: number;
  /** As soon as the last one was dead. */
  readonly leftAtOnce: Left;
  /** After everything was gone, or after WATCHED_MS. */
  readonly leftAtLast: Left;
  /** From the last death until nothing was left, 0 where that was so at once; null where something stayed. */
  readonly goneMs: number | null;
}

/** Half of the subscribers; where there are cleaners, then a quarter and their wrappers, then the rest and the catch-all. */
export async function measureDeaths(peer: Peer, withCleaners: boolean): Promise<Deaths[]> {
  const { subscribers } = peer.setting;
  const half = Math.max(1, subscribers >> 1);
  const quarter = subscribers >> 2;
  const deaths = [await killSome(peer, half, 'subscribers')];
  if (!withCleaners || quarter === 0) return deaths;
  deaths.push(await killSome(peer, quarter, 'wrappers too'));
  if (peer instanceof FilesPeer) await peer.killCleaner();
  deaths.push(await killSome(peer, quarter, 'catch-all too'));
  return deaths;
}

async function killSome(peer: Peer, count: number, victims: Victims): Promise<Deaths> {
  await peer.pause(count);
  await peer.burst(WAITING_EVENTS);
  await peer.drain(CATCH_UP_TIMEOUT_MS);
  const { deadNs, tried, reached, held } = await peer.kill(count, victims !== 'subscribers');
  const leftAtOnce = await peer.left();
  let leftAtLast = leftAtOnce;
  while (!isNothing(leftAtLast) && nowNs() - deadNs < WATCHED_MS * 1e6) {
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
    leftAtLast = await peer.left();
  }
  const goneMs = isNothing(leftAtOnce)
    ? 0
    : isNothing(leftAtLast)
      ? (nowNs() - deadNs) / 1e6
      : null;
  return { victims, killed: count, tried, reached, held, leftAtOnce, leftAtLast, goneMs };
}

function isNothing({ bytes, inodes, descriptors, processes }: Left): boolean {
  return bytes <= 0 && inodes <= 0 && descriptors <= 0 && processes <= 0;
}

/** CLOCK_MONOTONIC, as the C programs read it. */
function nowNs(): number {
  return Number(process.hrtime.bigint());
}
