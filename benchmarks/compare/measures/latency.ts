/** Measures the time from publish to read, at a rate that saturates no design. */
import type { Peer } from '../designs/peer.js';
import { type CpuPerDelivery, begin, cpuSince } from './throughput.js';

const CATCH_UP_TIMEOUT_MS = 20_000;
/** The limit that keeps CPUs idle most of the time, for any number of subscribers. */
const MOST_DELIVERIES_PER_S = 3000;
const MOST_EVENTS_PER_S = 200;
const LEAST_EVENTS_PER_S = 4;

export interface Latency {
  readonly ratePerS: number;
  /** `bucket:count ...` (benchmarks/compare/histogram.ts) */
  readonly histogram: string;
  readonly cpu: CpuPerDelivery;
}

export function modestRate(subscribers: number): number {
  return Math.max(
    LEAST_EVENTS_PER_S,
    Math.min(MOST_EVENTS_PER_S, Math.floor(MOST_DELIVERIES_PER_S / subscribers)),
  );
}

export async function measureLatency(peer: Peer, ms: number): Promise<Latency> {
  const ratePerS = modestRate(peer.setting.subscribers);
  await peer.latencies();
  const before = await begin(peer);
  await peer.publishEvenly(ratePerS, Math.max(2, Math.round((ratePerS * ms) / 1000)));
  const end = await peer.caughtUp(CATCH_UP_TIMEOUT_MS);
  const cpu = cpuSince(peer, before, end);
  return { ratePerS, histogram: (await peer.latencies()).toString(), cpu };
}
