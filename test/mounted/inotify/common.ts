/** Helpers of the tests of inotify. */
import { statusOf } from '../../support/clients/clients.js';
import { run } from '../../support/mount/daemon.js';
import { daemon } from '../../support/mount/mounted.js';

/** @returns the number of messages to the notifier so far */
export const batches = (): number => Number(statusOf(`${daemon.path}/log`).NOTICE_BATCHES);
/** @returns the names in a directory, in its own order, which Node does not keep */
export const listed = async (path: string): Promise<string[]> =>
  (await run(['ls', '-U', path])).out.split('\n').slice(0, -1);
