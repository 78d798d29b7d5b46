/**
 * `eventfs umount`: stops the daemon and its guardian, or removes the mount that a dead daemon has
 * left.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { unmountHindrance } from '../../client/mounting/fusermount-refusals.js';
import { abort, detach, detachAll } from '../../client/unmount.js';
import { keepsOut, mountPath, probe } from '../../client/probe.js';
import { NotServedError, UserError, isSystemError } from '../../shared/errors.js';
import { MOUNT_TYPE, mountedAt, mounts } from '../../shared/kernel/mountinfo.js';
import { printable } from '../terminal/output.js';
import { servingProcess } from '../../client/serving.js';
import { endGuardian } from '../guardian-socket.js';

const POLL_MS = 10;
/** The errnos of a daemon that has just died: of kill(2), and of a read in its mount. */
const DEAD = ['ESRCH', 'ENOTCONN', 'ECONNABORTED'];
/** How long a daemon may take to unmount before its connection is aborted. */
const STOP_TIMEOUT_MS = 5000;

/**
 * Stops the daemon with SIGTERM. If the daemon does not answer, or does not unmount within 5 s,
 * aborts the connection. If the daemon is dead already, only unmounts. If nothing is mounted there
 * any more, ends the guardian that has mounted there: it serves the clients that still use the
 * mount, or waits for a daemon that was stopped.
 *
 * @param directory the mount, or a symlink to it
 * @throws NotServedError if eventfs is not mounted there
 * @throws UserError with the errno of kill(2) or umount2(2)
 */
export async function umount(directory: string): Promise<void> {
  const path = mountPath(directory);
  const state = await probe(path);
  if (state === 'none') return endUnmounted(path);
  if (state === 'other')
    throw new NotServedError(
      `${path}: ${mountedAt(path)?.type ?? 'another filesystem'} is mounted here, not eventfs (try umount ${path})`,
    );
  try {
    const connection = mountedAt(path)?.minor;
    if (state === 'stale') detach(path);
    else if (state === 'stuck' || !(await stopDaemon(path))) await abort(path);
    else return;
    // the connection is dead in the other places too to which it was bound
    if (connection !== undefined) detachAll(connection);
    await endGuardian(path);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const lasting = unmountHindrance();
    const mend = lasting === undefined ? 'try as root' : `${lasting.what}: ${lasting.mend}`;
    throw UserError.from(error, path, { EPERM: mend });
  }
}

/** @throws NotServedError if there is no guardian either */
async function endUnmounted(path: string): Promise<void> {
  const ended = await endGuardian(path);
  if (ended === 'none')
    throw new NotServedError(`${path}: eventfs is not mounted here (${whereMounted()})`);
  if (ended === 'late')
    throw new NotServedError(
      `${path}: eventfs is not mounted here, and its guardian does not end ` +
        '(look for eventfs-guard in ps, and kill it)',
    );
}

/**
 * Sends SIGTERM to the daemon, and waits until the mount is gone.
 *
 * @returns false if the daemon can't be found, or does not unmount in time
 */
async function stopDaemon(path: string): Promise<boolean> {
  const connection = mountedAt(path)?.minor;
  if (keepsOut(path) || !terminate(path)) return false; // root may unmount it anyway
  for (let waited = 0; waited < STOP_TIMEOUT_MS; waited += POLL_MS) {
    if (mountedAt(path)?.minor !== connection) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** Sends SIGTERM to the daemon. Returns false if it can't be found, or has just died. */
function terminate(path: string): boolean {
  try {
    const pid = servingProcess(path);
    return pid !== undefined && process.kill(pid, 'SIGTERM');
  } catch (error) {
    if (DEAD.some((code) => isSystemError(error, code))) return false;
    throw error;
  }
}

/** Says where eventfs is mounted in this mount namespace. */
function whereMounted(): string {
  const found = mounts().filter(({ type }) => type === MOUNT_TYPE);
  const paths = [...new Set(found.map(({ mountPoint }) => printable(mountPoint)))];
  return paths.length === 0
    ? 'it is mounted nowhere in this mount namespace'
    : `it is mounted on ${paths.join(', ')}`;
}
