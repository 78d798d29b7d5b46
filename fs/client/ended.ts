/** The errors of a mount whose daemon has ended, or of a directory that has. */
import { DaemonEndedError, type SystemError, codeOf, isSystemError } from '../shared/errors.js';

/** The errors of every call to a mount whose daemon has ended (fs/fuse/dev.c). */
const DAEMON_ENDED: ReadonlySet<string> = new Set(['ECONNABORTED', 'ECANCELED', 'ENOTCONN']);

/** Tells whether a system call failed because the daemon of the mount has ended. */
export function tellsOfDaemonEnd(error: unknown): error is SystemError {
  return isSystemError(error) && DAEMON_ENDED.has(codeOf(error));
}

/** Tells the same, also for the end of the directory that the open file was in. */
export function tellsOfEnd(error: unknown): error is SystemError {
  return tellsOfDaemonEnd(error) || isSystemError(error, 'ESTALE');
}

/**
 * Makes the error for a user of a mount whose daemon has ended.
 *
 * @param path the mount's path
 */
export function daemonEnded(path: string, remedy: string): DaemonEndedError {
  return new DaemonEndedError(`${path}: its daemon has ended (${remedy})`);
}
