/** The mounts of `eventfs bridge`. */
import { statSync } from 'node:fs';
import { requireMount } from '../../../client/mounted.js';
import { UsageError } from '../../../shared/errors.js';

/** Returns the path of the mount whose events are published. @throws NotServedError */
export async function localMount(directory: string): Promise<string> {
  return requireMount(directory);
}

/** Returns the path of the mount that gets the events of other hosts. @throws NotServedError */
export async function fleetMount(directory: string): Promise<string> {
  return requireMount(
    directory,
    (path) => `try eventfs mount --fleet ${path}, or another --fleet DIR`,
  );
}

/**
 * Refuses one mount for both ways: the events of other hosts would be published again as this
 * host's, without an end.
 *
 * @param local undefined if nothing is published
 * @param fleet undefined if no host is followed
 * @throws UsageError
 */
export function refuseLoop(local: string | undefined, fleet: string | undefined): void {
  if (local === undefined || fleet === undefined) return;
  if (statSync(local).dev === statSync(fleet).dev)
    throw new UsageError(
      `--fleet ${fleet}: it is the mount of --publish too, and events would go round for ever (mount another one: eventfs mount --fleet DIR)`,
    );
}
