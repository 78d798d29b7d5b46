/** Helpers of the tests of inotify. */
import { statusOf } from '../../support/clients/clients.js';
import { Watcher } from '../../support/clients/watcher.js';
import { type Daemon, Shell, run, startDaemon } from '../../support/mount/daemon.js';
import { daemon } from '../../support/mount/mounted.js';

/** @returns the number of messages to the notifier so far */
export const batches = (): number => Number(statusOf(`${daemon.path}/log`).NOTICE_BATCHES);
/** @returns the names in a directory, in its own order, which Node does not keep */
export const listed = async (path: string): Promise<string[]> =>
  (await run(['ls', '-U', path])).out.split('\n').slice(0, -1);

const owners: Shell[] = [];

/** Starts a daemon, an owner of a directory, and a watcher of it. */
export async function watchedDirectory(): Promise<{
  served: Daemon;
  owner: Shell;
  path: string;
  watcher: Watcher;
}> {
  const served = await startDaemon();
  const owner = new Shell();
  owners.push(owner);
  const path = `${served.path}/${owner.pid}`;
  await owner.run(`mkdir ${path}`);
  return { served, owner, path, watcher: await Watcher.on(path) };
}

/** Kills the owners that `watchedDirectory` has started. */
export function killOwners(): void {
  for (const { process: owner } of owners) owner.kill('SIGKILL');
}
