/** Calls to a mount that neither block the event loop nor wait without end. */
import { CallThread } from '#native';
import { mountPath } from '../client/probe.js';
import { MOUNT_TYPE, mountedAt } from '../shared/kernel/mountinfo.js';
import { isSystemError } from '../shared/errors.js';
import { inTime as waitInTime } from '../shared/in-time.js';
import { EventfsError, refused } from './errors.js';

/** How long a daemon may take for one answer, in ms. */
const ANSWER_TIMEOUT_MS = 2000;

/** Returns the error of a stream whose daemon has ended. */
export function daemonEnded(path: string): EventfsError {
  return new EventfsError(
    'DAEMON_ENDED',
    `${path}: its daemon has ended (mount it again, then subscribe again)`,
  );
}

/**
 * Starts a thread for calls that wait for a daemon.
 *
 * @throws EventfsError `REFUSED`
 */
export function startThread(): CallThread {
  try {
    return new CallThread();
  } catch (error) {
    throw isSystemError(error) ? refused(error, 'a thread for eventfs', THREAD_HINTS) : error;
  }
}

const THREAD_HINTS = {
  EAGAIN: 'the limit of threads is reached: raise it with ulimit -u',
  EMFILE: 'the limit of open files is reached: raise it with ulimit -n',
};

/**
 * Finds the mount. Makes no request to its daemon.
 *
 * @param directory the mount, or a symlink to it
 * @returns the mount's path
 * @throws EventfsError `NOT_MOUNTED`
 */
export function findMount(directory: string): string {
  if (typeof directory !== 'string' || directory === '')
    throw new EventfsError(
      'BAD_OPTION',
      'mount: it is not a path (name the mount, as in /dev/events)',
    );
  const path = mountPath(directory);
  if (mountedAt(path)?.type !== MOUNT_TYPE)
    throw new EventfsError(
      'NOT_MOUNTED',
      `${path}: eventfs is not mounted here (run eventfs mount ${path}, name another mount, or subscribe with netlink: 'kernel')`,
    );
  return path;
}

/**
 * Waits for an answer of a daemon.
 *
 * @param path the mount's path, for the error
 * @param ms the time limit
 * @throws EventfsError `DAEMON_STUCK` if none comes in time, and the error of the answer
 */
export function inTime<T>(answer: Promise<T>, path: string, ms = ANSWER_TIMEOUT_MS): Promise<T> {
  return waitInTime(answer, ms, () => {
    throw new EventfsError(
      'DAEMON_STUCK',
      `${path}: its daemon does not answer within ${ms / 1000} s (run eventfs umount ${path})`,
    );
  });
}
