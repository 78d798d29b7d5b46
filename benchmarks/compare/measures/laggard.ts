/** Measures the harm of one subscriber that never reads to the others. */
import { Histogram } from '../histogram.js';
import type { Peer } from '../designs/peer.js';
import { measureLatency } from './latency.js';
import { measureThroughput } from './throughput.js';

const CATCH_UP_TIMEOUT_MS = 60_000;

export interface Laggard {
  /** Deliveries to each of the others, against deliveries to each when all read. */
  readonly throughputRatio: number;
  /** The others' median time from publish to read, against the median when all read. */
  readonly latencyRatio: number;
}

export async function measureLaggard(peer: Peer, ms: number): Promise<Laggard> {
  const { subscribers } = peer.setting;
  const all = await measureThroughput(peer, ms);
  const allLatency = await measureLatency(peer, ms);
  await peer.pause(1);
  const others = await measureThroughput(peer, ms, 1);
  const othersLatency = await measureLatency(peer, ms);
  await peer.resume();
  await peer.drain(CATCH_UP_TIMEOUT_MS);
  const median = (line: string): number => Histogram.parse(line).quantile(0.5);
  return {
    throughputRatio: others.deliveriesPerS / (subscribers - 1) / (all.deliveriesPerS / subscribers),
    latencyRatio: median(othersLatency.histogram) / median(allLatency.histogram),
  };
}
