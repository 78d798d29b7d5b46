/** Checks the mount for commands that need one. */
import { KEPT_OUT, keepsOut, mountPath, probe } from './probe.js';
import { NotServedError, UserError } from '../shared/errors.js';

/**
 * Requires a mount that a daemon serves.
 *
 * @param directory the mount, or a symlink to it
 * @param remedy returns the hint if eventfs is not mounted there
 * @returns the mount's path
 * @throws NotServedError if eventfs is not mounted there, or if its daemon is dead or does not
 *   answer
 */
export async function requireMount(
  directory: string,
  remedy = (path: string) => `try eventfs mount ${path}, or --mount DIR`,
): Promise<string> {
  const path = mountPath(directory);
  switch (await probe(path)) {
    case 'alive':
      if (keepsOut(path)) throw new UserError(`${path}: ${KEPT_OUT} (run this as that user)`);
      return path;
    case 'stale':
      throw new NotServedError(`${path}: its daemon was killed (try eventfs mount ${path})`);
    case 'stuck':
      throw new NotServedError(`${path}: its daemon does not answer (try eventfs umount ${path})`);
    default:
      throw new NotServedError(`${path}: eventfs is not mounted here (${remedy(path)})`);
  }
}
