/** Removes a mount, from outside or in its own daemon. */
import { unmount, unmountApart } from '#native';
import { isSystemError } from '../shared/errors.js';
import { abortConnection, connectionAt } from '../shared/kernel/connection.js';
import {
  MOUNT_TYPE,
  type Mounted,
  ancestors,
  isReachable,
  mounts,
} from '../shared/kernel/mountinfo.js';

import { unmountByFusermount, unmountByFusermountApart } from './mounting/fusermount.js';

/** Flags of umount2(2). */
const MNT_FORCE = 1;
const MNT_DETACH = 2;

/**
 * Unmounts a path with MNT_DETACH: files that are still open keep working. A user who may not call
 * umount2(2) does it by fusermount3.
 *
 * @returns false if nothing was mounted there
 * @throws SystemError with any other errno of umount2(2)
 */
export function detach(path: string): boolean {
  try {
    unmount(path, MNT_DETACH);
    return true;
  } catch (error) {
    // there is no mount any more
    if (isSystemError(error, 'EINVAL') || isSystemError(error, 'ENOENT')) return false;
    if (isSystemError(error, 'EPERM') && unmountByFusermount(path)) return true;
    throw error;
  }
}

/**
 * Unmounts every mount of one device in this mount namespace, at any path: a mount may have been
 * moved, bound to other places, or reached through a directory that was renamed.
 *
 * A path is passed to umount2(2) only if no part of it lies in a mount of this device: else the
 * daemon would wait for itself. Unmounting a mount also removes the mounts below it.
 *
 * @param minor the device's minor number
 * @returns the paths of mounts that remain: they are beneath other mounts, or locked
 */
export function detachAll(minor: number): string[] {
  const isOurs = (mounted: Mounted): boolean =>
    mounted.type === MOUNT_TYPE && mounted.minor === minor;
  // After the last unmount another filesystem may get the same device number.
  const known = new Set(
    mounts()
      .filter(isOurs)
      .map(({ id }) => id),
  );
  const tried = new Set<number>();
  for (;;) {
    const all = mounts();
    const ours = all.filter((mounted) => isOurs(mounted) && known.has(mounted.id));
    const next = ours.find((mounted) => {
      const isBelowOurs = ancestors(mounted, all).some(
        (above) => above.mountPoint !== mounted.mountPoint && ours.includes(above),
      );
      return !tried.has(mounted.id) && !isBelowOurs && isReachable(mounted, all);
    });
    if (next === undefined) return ours.map(({ mountPoint }) => mountPoint);
    tried.add(next.id);
    try {
      detach(next.mountPoint);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }
}

/**
 * Unmounts a path and aborts the FUSE connection: waiting clients get ECONNABORTED. A user who may
 * not call umount2(2) does it by fusectl and fusermount3.
 *
 * @throws SystemError with the errno of umount2(2)
 */
export async function abort(path: string): Promise<void> {
  try {
    unmountApart(path, MNT_FORCE | MNT_DETACH);
  } catch (error) {
    if (!isSystemError(error, 'EPERM')) throw error;
    abortConnection(connectionAt(path));
    if (!(await unmountByFusermountApart(path))) throw error;
  }
}
