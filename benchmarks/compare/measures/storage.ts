/** What events take that are published while nobody reads. */
import type { Peer } from '../designs/peer.js';

const CATCH_UP_TIMEOUT_MS = 30_000;
/** So few that they fit everywhere, so many that they can be weighed. */
export const STORED_EVENTS = 100;

export interface Storage {
  /** Of the event manager's memory, an event and subscriber. */
  readonly managerBytes: number;
  /** Of the kernel's memory, or of the ring where the text stands once, an event and subscriber. */
  readonly kernelBytes: number;
}

export async function measureStorage(peer: Peer): Promise<Storage> {
  const { subscribers, publishers } = peer.setting;
  await peer.pause(subscribers);
  // The first ones after a pause grow tables that stay: those are not what an event costs.
  await peer.store(0);
  const each = Math.ceil(STORED_EVENTS / publishers);
  await peer.burst(each);
  const stored = await peer.store(each * publishers);
  await peer.resume();
  await peer.drain(CATCH_UP_TIMEOUT_MS);
  const shares = each * publishers * subscribers;
  return { managerBytes: stored.manager / shares, kernelBytes: stored.kernel / shares };
}
