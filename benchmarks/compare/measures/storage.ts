/** Measures the memory of events that are published while no subscriber reads. */
import type { Peer } from '../designs/peer.js';

const CATCH_UP_TIMEOUT_MS = 30_000;
/** Few enough to fit in every design, and enough to be measurable. */
export const STORED_EVENTS = 100;

export interface Storage {
  /** The event manager's memory for an event and subscriber. */
  readonly managerBytes: number;
  /** The kernel's memory, or the text in the ring, for an event and subscriber. */
  readonly kernelBytes: number;
}

export async function measureStorage(peer: Peer): Promise<Storage> {
  const { subscribers, publishers } = peer.setting;
  await peer.pause(subscribers);
  // The first call grows tables that stay, which are not an event's cost.
  await peer.store(0);
  const each = Math.ceil(STORED_EVENTS / publishers);
  await peer.burst(each);
  const stored = await peer.store(each * publishers);
  await peer.resume();
  await peer.drain(CATCH_UP_TIMEOUT_MS);
  const shares = each * publishers * subscribers;
  return { managerBytes: stored.manager / shares, kernelBytes: stored.kernel / shares };
}
