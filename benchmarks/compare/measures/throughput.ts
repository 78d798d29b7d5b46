/** Measures deliveries a second while all publishers publish as fast as they can. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer, Totals } from '../designs/peer.js';

const DRAIN_TIMEOUT_MS = 60_000;
/** A manager is idle if it uses less than IDLE_SHARE of a CPU for IDLE_MS. */
const IDLE_MS = 30;
const IDLE_SHARE = 0.2;
/**
 * Above MANY subscribers a measurement takes LONGER times as long: one turn of all takes a while.
 */
const MANY = 100;
const LONGER = 3;

export interface Throughput {
  /** Events that subscribers got a second while the publishers published. */
  readonly deliveriesPerS: number;
  readonly publishedPerS: number;
  /** The share of events that subscribers did not get. */
  readonly lostShare: number;
  /** Events that were out of order, or missing without a record of the loss. */
  readonly disorder: number;
  /** Whether received and lost events are all that was published. */
  readonly accounted: boolean;
  readonly eventsPerRead: number;
  readonly cpu: CpuPerDelivery;
}

/** Microseconds of CPU time for each event that one subscriber got. */
export interface CpuPerDelivery {
  /** The event manager: the daemon and its helpers, or the publisher if it is the manager. */
  readonly managerUs: number;
  readonly publisherUs: number;
  readonly subscriberUs: number;
}

export async function measureThroughput(peer: Peer, ms: number, paused = 0): Promise<Throughput> {
  if (peer.setting.subscribers > MANY) ms *= LONGER;
  const published = peer.publishedInAll;
  const before = await begin(peer);
  await peer.flood(ms);
  const after = await peer.totals();
  const floodedNs = after.atNs - before.totals.atNs;
  const publishedByFlood = peer.publishedInAll - published;
  const cpu = cpuSince(peer, before, after);
  await peer.drain(DRAIN_TIMEOUT_MS);
  // A subscriber notices the loss of the last events by one more event of each publisher.
  await peer.burst(1);
  const end = await peer.caughtUp(DRAIN_TIMEOUT_MS);
  await becomeIdle(peer);
  const [events, lost] = [end.events - before.totals.events, end.lost - before.totals.lost];
  const due = (peer.publishedInAll - published) * (end.alive - paused);
  return {
    deliveriesPerS: ((after.events - before.totals.events) / floodedNs) * 1e9,
    publishedPerS: (publishedByFlood / floodedNs) * 1e9,
    lostShare: lost / due,
    disorder: end.disorder - before.totals.disorder,
    accounted: events + lost === due,
    eventsPerRead: (after.events - before.totals.events) / (after.reads - before.totals.reads),
    cpu,
  };
}

/** Waits until the event manager is idle: its work would disturb the next measurement. */
async function becomeIdle(peer: Peer): Promise<void> {
  const deadline = Date.now() + DRAIN_TIMEOUT_MS;
  for (let before = peer.cpuTimes().managerNs; Date.now() < deadline;) {
    await sleep(IDLE_MS);
    const { managerNs } = peer.cpuTimes();
    if (managerNs - before < IDLE_MS * 1e6 * IDLE_SHARE) return;
    before = managerNs;
  }
}

/** The counts before a measurement. */
interface Begun {
  readonly totals: Totals;
  readonly times: ReturnType<Peer['cpuTimes']>;
}

export async function begin(peer: Peer): Promise<Begun> {
  return { totals: await peer.totals(), times: peer.cpuTimes() };
}

export function cpuSince(peer: Peer, before: Begun, end: Totals): CpuPerDelivery {
  const deliveries = end.events - before.totals.events;
  const { managerNs, publisherNs } = peer.cpuTimes();
  const us = (ns: number): number => (deliveries > 0 ? ns / deliveries / 1000 : NaN);
  return {
    managerUs: us(managerNs - before.times.managerNs),
    publisherUs: us(publisherNs - before.times.publisherNs),
    subscriberUs: us(end.cpuNs - before.totals.cpuNs),
  };
}
