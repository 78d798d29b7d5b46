/** Mounts and unmounts for both drivers. Its errors tell the user what to do. */
import { closeSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { mount, openFuse, unmount } from '#native';
import { probe } from '../../client/probe.js';
import { detachAll } from '../../client/unmount.js';
import { UserError, isSystemError } from '../../shared/errors.js';
import { type Connection, isSameConnection } from '../../shared/kernel/connection.js';
import { MOUNT_TYPE, mountedAt } from '../../shared/kernel/mountinfo.js';
import type { Logger } from '../../shared/logger.js';

/** Flags of mount(2), from linux/mount.h. */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
/** A flag of umount2(2). */
const MNT_DETACH = 2;

/** How long the kernel may take to send INIT after mount(2), in milliseconds. It sends it at once. */
export const INIT_TIMEOUT_MS = 5000;

/** The root's st_mode in octal: a sticky directory in which every user may make directories. */
const ROOT_MODE = '41777';

/** Hints for the errors of opening /dev/fuse, by errno. */
export const OPEN_HINTS = {
  ENOENT: 'the kernel has no FUSE: try modprobe fuse',
  ENXIO: 'the kernel has no FUSE: try modprobe fuse',
  EPERM: 'try as root',
  EACCES: 'try as root, or a directory of your own in a user namespace: unshare -rm',
};
/** Hints for the errors of mount(2), by errno. */
export const MOUNT_HINTS = {
  EPERM: 'try as root, or a directory of your own in a user namespace: unshare -rm',
};

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
      unmount(path, MNT_DETACH);
    } catch (error) {
      if (isSystemError(error))
        throw UserError.from(error, path, {
          EPERM: 'a killed daemon has left a mount here: try as root',
        });
      throw error;
    }
    logger.warn(`${path}: detached the mount of a killed daemon`);
  }
  makeInDev(path);
  try {
    if (!statSync(path).isDirectory())
      throw new UserError(`${path}: Not a directory (give a directory to mount on)`);
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, path, { ENOENT: `try mkdir -p ${path}` });
    throw error;
  }
}

/**
 * Opens /dev/fuse and mounts the connection with mount(2).
 * @param path the mount point
 * @param source the source that mount tables show
 * @returns the descriptor of /dev/fuse to serve
 * @throws UserError if /dev/fuse can't be opened or mount(2) fails
 */
export function mountFuse(path: string, source: string): number {
  let fd: number;
  try {
    fd = openFuse();
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, '/dev/fuse', OPEN_HINTS);
    throw error;
  }
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const options = `fd=${fd},rootmode=${ROOT_MODE},user_id=${uid},group_id=${gid},default_permissions,allow_other`;
  try {
    mount(source, path, MOUNT_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
  } catch (error) {
    closeSync(fd);
    if (isSystemError(error)) throw UserError.from(error, path, MOUNT_HINTS);
    throw error;
  }
  return fd;
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
  for (const path of detachAll(connection.minor))
    logger.warn(
      `${path}: the mount stays below another mount (unmount that, then try umount ${path})`,
    );
}
