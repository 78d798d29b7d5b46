/**
 * Measures the leftovers of killed subscribers: how long they stay, and whether they can be
 * reached.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FilesPeer } from '../designs/files-peer.js';
import type { Leftovers, Peer } from '../designs/peer.js';

const CATCH_UP_TIMEOUT_MS = 20_000;
/** Leftovers that are there after this time count as permanent. */
export const WATCHED_MS = 2000;
const LOOK_EVERY_MS = 5;
/** Events that wait for each subscriber that will be killed. */
const WAITING_EVENTS = 8;

type Victims = 'subscribers' | 'wrappers too' | 'catch-all too';

export interface Deaths {
  readonly victims: Victims;
  readonly killed: number;
  readonly tried: number;
  readonly reached: number;
  readonly held: number;
  /** The leftovers as soon as the last one was dead. */
  readonly leftAtOnce: Leftovers;
  /** The leftovers after WATCHED_MS, or nothing if all went before. */
  readonly leftAtLast: Leftovers;
  /** The time from the last death until nothing was left: 0 for at once, null for never. */
  readonly goneMs: number | null;
}

/**
 * Kills half of the subscribers; with cleaners also a quarter and their wrappers, then the rest and
 * the catch-all.
 */
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
    await sleep(LOOK_EVERY_MS);
    leftAtLast = await peer.left();
  }
  const goneMs = isNothing(leftAtOnce)
    ? 0
    : isNothing(leftAtLast)
      ? (nowNs() - deadNs) / 1e6
      : null;
  return { victims, killed: count, tried, reached, held, leftAtOnce, leftAtLast, goneMs };
}

function isNothing({ bytes, inodes, descriptors, processes }: Leftovers): boolean {
  return bytes <= 0 && inodes <= 0 && descriptors <= 0 && processes <= 0;
}

/** Returns CLOCK_MONOTONIC in nanoseconds, as the C programs read it. */
function nowNs(): number {
  return Number(process.hrtime.bigint());
}
