/** `eventfs umount`: end the daemon, or take away what a dead one left. */
import { setTimeout as sleep } from 'node:timers/promises';
import { abort, detach, detachAll } from '../../client/unmount.js';
import { mountPath, probe } from '../../client/probe.js';
import { UserError, isSystemError } from '../../shared/errors.js';
import { mountedAt } from '../../shared/kernel/mountinfo.js';
import { servingProcess } from '../../client/serving.js';

const POLL_MS = 10;
/** How long a daemon may take to unmount before its connection is aborted. */
const STOP_TIMEOUT_MS = 5000;

export async function umount(directory: string): Promise<void> {
  const path = mountPath(directory);
  const state = await probe(path);
  if (state === 'none') throw new UserError(`${path}: eventfs is not mounted here`);
  if (state === 'other')
    throw new UserError(
      `${path}: ${mountedAt(path)?.type ?? 'what is mounted here'} is not eventfs (try umount)`,
    );
  try {
    const connection = mountedAt(path)?.minor;
    if (state === 'stale') detach(path);
    else if (state === 'stuck' || !(await stopDaemon(path))) abort(path);
    else return;
    if (connection !== undefined) detachAll(connection); // where else it was bound it is dead too
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, path, { EPERM: 'try as root' });
    throw error;
  }
}

/** Asks the daemon to go, as Ctrl-C would; false when it can't be asked or does not go in time. */
async function stopDaemon(path: string): Promise<boolean> {
  const connection = mountedAt(path)?.minor;
  const pid = servingProcess(path);
  if (pid === undefined) return false;
  process.kill(pid, 'SIGTERM');
  for (let waited = 0; waited < STOP_TIMEOUT_MS; waited += POLL_MS) {
    if (mountedAt(path)?.minor !== connection) return true;
    await sleep(POLL_MS);
  }
  return false;
}
