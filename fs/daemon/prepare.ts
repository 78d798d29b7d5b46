/** The part of a daemon's start that needs no mount: a standby does it beforehand. */
import { Owners } from '../owners/owners.js';
import { warmUp } from './warm-up.js';

/** Loads the driver, and warms up the path of an event. */
export async function prepare(): Promise<void> {
  await import('../drivers/devfuse/devfuse.js');
  const owners = new Owners(() => undefined);
  warmUp(owners);
  owners.close();
}
