/** Mounts and unmounts for both drivers. Its errors tell the user what to do. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { unmountHindrance } from '../../client/mounting/fusermount-refusals.js';
import { probe } from '../../client/probe.js';
import { detach, detachAll } from '../../client/unmount.js';
import { Errno, UserError, errnoName, isSystemError } from '../../shared/errors.js';
import { badPlace } from '../../shared/kernel/bad-place.js';
import { type Connection, isSameConnection } from '../../shared/kernel/connection.js';
import { mountedAt } from '../../shared/kernel/mountinfo.js';
import type { Logger } from '../../shared/log/logger.js';

/**
 * How long the kernel may take to send INIT after mount(2), in milliseconds. It sends it at once.
 */
export const INIT_TIMEOUT_MS = 5000;

/**
 * Makes the directory to mount on if it does not exist and lies in devtmpfs, or in the tmpfs of a
 * container's /dev: both are empty after each boot. The caller reports a failure, when it looks at
 * the directory.
 */
function makeInDev(path: string): void {
  const parent = dirname(path);
  const type = mountedAt(parent)?.type;
  if (type !== 'devtmpfs' && !(type === 'tmpfs' && parent === '/dev')) return;
  try {
    mkdirSync(path, 0o755);
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

/**
 * Makes sure that `path` is a directory to mount on. Makes it where it lies in /dev. If a killed
 * daemon has left a mount of eventfs there, detaches it.
 * @param path as /proc/self/mountinfo shows it
 * @throws UserError if `path` is no directory, if a live daemon or another filesystem is mounted
 *   there, or if a stale mount can't be detached
 */
export async function clearMountPoint(path: string, logger: Logger): Promise<void> {
  for (let state = await probe(path); state !== 'none'; state = await probe(path)) {
    if (state === 'other') {
      const type = mountedAt(path)?.type ?? 'another filesystem';
      throw new UserError(
        `${path}: ${type} is mounted here, not eventfs (choose another directory)`,
      );
    }
    if (state !== 'stale')
      throw new UserError(
        `${path}: eventfs is mounted here already (try eventfs umount ${path} first)`,
      );
    try {
      detach(path);
    } catch (error) {
      if (isSystemError(error))
        throw UserError.from(error, path, {
          EPERM: 'a killed daemon has left a mount here: try as root',
        });
      throw error;
    }
    logger.warn(`${path}: detached the mount of a killed daemon`);
  }
  refuseBadPlace(path);
  makeInDev(path);
  try {
    if (!statSync(path).isDirectory())
      throw new UserError(`${path}: Not a directory (give a directory to mount on)`);
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, path, { ENOENT: missingRemedy(path) });
    throw error;
  }
}

/**
 * Returns the remedy for a mount point that is missing: /dev/events is none that a user can make.
 */
function missingRemedy(path: string): string {
  const own =
    process.geteuid?.() === 0 ? '' : ', or a directory of your own: eventfs mount ~/events';
  return `try mkdir -p ${path}${own}`;
}

/** @throws UserError if a daemon can't serve the directory */
function refuseBadPlace(path: string): void {
  const bad = badPlace(path);
  if (bad !== null) throw new UserError(`${path}: ${bad.what} (${bad.mend})`);
}

/** Returns the error of a mount that gets no INIT within INIT_TIMEOUT_MS. */
export function noInit(path: string): UserError {
  return new UserError(
    `${path}: no INIT from the kernel within ${INIT_TIMEOUT_MS / 1000} s (try again)`,
  );
}

/**
 * Detaches every mount of a connection when its daemon ends. The log names each mount that stays.
 * If the kernel has given the device number to another filesystem since, there is nothing to do:
 * all mounts of this connection are gone.
 */
export function detachOrTell(connection: Connection, logger: Logger): void {
  if (!isSameConnection(connection)) return;
  const isRoot = process.geteuid?.() === 0; // root does not need fusermount3
  const remedy = isRoot
    ? 'it is below another mount: unmount that, then try umount'
    : 'fusermount3 does not unmount it: try fusermount3 -uz';
  const lasting = isRoot ? undefined : unmountHindrance();
  for (const path of detachAll(connection.minor)) {
    const why = lasting === undefined ? `${remedy} ${path}` : `${lasting.what}: ${lasting.mend}`;
    logger.warn(`${path}: the mount stays (${why})`);
  }
}

/**
 * Logs the error that has ended the connection, unless it is that of an unmount or abort.
 * @param path the mount point
 * @param errno of the daemon's read of /dev/fuse
 */
export function tellEnd(path: string, errno: number, logger: Logger): void {
  if (errno === Errno.ENODEV || errno === Errno.ECONNABORTED || errno === 0) return;
  logger.error(`${path}: reading requests fails: ${errnoName(errno)} (mount again)`);
}
