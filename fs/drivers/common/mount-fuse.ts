/** Mounts a FUSE connection: by mount(2), or by fusermount3 for users who may not call that. */
import { closeSync } from 'node:fs';
import { mount, openFuse } from '#native';
import { fuseDeviceRemedy } from '../../client/mounting/fuse-device.js';
import { hindrance, unmountHindrance } from '../../client/mounting/fusermount-refusals.js';
import {
  findFusermount,
  findFusermount2,
  mountByFusermount,
  noFusermount,
} from '../../client/mounting/fusermount.js';
import { FailedCallError, UserError, isSystemError } from '../../shared/errors.js';
import { isInitialUserNamespace } from '../../shared/kernel/kernels-root.js';
import { MOUNT_TYPE } from '../../shared/kernel/mountinfo.js';

/** Flags of mount(2), from linux/mount.h. */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;

/** The root's st_mode in octal: a sticky directory in which every user may make directories. */
const ROOT_MODE = '41777';

/** The remedy of a user whose mount(2) fails with EPERM. */
export const MOUNT_REMEDY = 'try as root, or a directory of your own in unshare -Urm';
/** The remedy of a process with uid 0 that lacks the capability. */
const CAPABILITY_REMEDY =
  'this process lacks CAP_SYS_ADMIN: try unshare -Urm, or for a container --cap-add SYS_ADMIN';
/**
 * Returns the remedy of a mount that the kernel finds invalid: the user namespace does not map
 * user_id, or the descriptor is not of FUSE.
 */
function invalidRemedy(): string {
  return isInitialUserNamespace()
    ? `/dev/fuse must be the device c 10:229: ${fuseDeviceRemedy('ENOENT')}`
    : 'a user namespace must map your uid: try unshare -Urm';
}

/** A mounted connection. */
export interface FuseMount {
  /** The descriptor of /dev/fuse to serve. */
  readonly fd: number;
  /** Whether an ordinary user has mounted it, by fusermount3. */
  readonly isOfUser: boolean;
  /** Whether other users can use it (allow_other). */
  readonly isShared: boolean;
}

/**
 * Opens /dev/fuse.
 * @throws UserError
 */
export function openDevice(): number {
  try {
    return openFuse();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const remedy = fuseDeviceRemedy(error.code);
    throw UserError.from(error, '/dev/fuse', {
      [error.code]: process.geteuid?.() === 0 ? remedy : `as root: ${remedy}`,
    });
  }
}

/**
 * Mounts a new connection at a path.
 * @param path the mount point
 * @param source the source that mount tables show
 * @throws UserError if /dev/fuse can't be opened, or if neither mount(2) nor fusermount3 mounts
 */
export async function mountFuse(path: string, source: string): Promise<FuseMount> {
  const fd = openDevice();
  try {
    mountDevice(fd, path, source);
    return { fd, isOfUser: false, isShared: true };
  } catch (error) {
    closeSync(fd); // fusermount3 opens one of its own
    if (!isSystemError(error)) throw error;
    if (error.code !== 'EPERM' || process.geteuid?.() === 0)
      throw UserError.from(error, path, { EPERM: CAPABILITY_REMEDY, EINVAL: invalidRemedy() });
  }
  const program = findFusermount();
  if (program === undefined) throw noFusermount(path);
  return { isOfUser: true, ...(await mountByFusermount(program, path, source)) };
}

function mountDevice(fd: number, path: string, source: string): void {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const options = `fd=${fd},rootmode=${ROOT_MODE},user_id=${uid},group_id=${gid},default_permissions,allow_other`;
  mount(source, path, MOUNT_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
}

/**
 * Makes sure that libfuse 2 can mount without root: it runs fusermount, and writes more than one
 * line if that fails.
 * @param path the mount point
 * @throws UserError
 */
export function refuseWithoutFusermount(path: string): void {
  const program = findFusermount2();
  if (program === undefined) throw noFusermount(path);
  const obstacle = hindrance(program);
  if (obstacle !== undefined)
    throw new FailedCallError(`${path}: ${obstacle.what} (${obstacle.mend})`);
}

/** Returns the limits of a mount by fusermount3, for the log at the start. */
export function mountLimits({
  isOfUser,
  isShared,
}: Pick<FuseMount, 'isOfUser' | 'isShared'>): readonly string[] {
  if (!isOfUser) return [];
  const lasting = unmountHindrance();
  return [
    ...(lasting === undefined ? [] : [`${lasting.what}, so this mount stays (${lasting.mend})`]),
    isShared
      ? 'inotify reports no events in directories of other users (they can wait with poll(2) on .stream)'
      : "other users, root included, can't use this mount (root can add user_allow_other to /etc/fuse.conf)",
  ];
}
