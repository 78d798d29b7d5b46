/** Taking a mount away, from outside or by its own daemon. */
import { unmount, unmountApart } from '#native';
import { isSystemError } from '../shared/errors.js';
import {
  MOUNT_TYPE,
  type Mounted,
  ancestors,
  isReachable,
  mounts,
} from '../shared/kernel/mountinfo.js';

/** umount2(2). */
const MNT_FORCE = 1;
const MNT_DETACH = 2;

/** Takes the mount out of the tree; what is still open goes on working. True when there was one. */
export function detach(path: string): boolean {
  try {
    unmount(path, MNT_DETACH);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EINVAL') || isSystemError(error, 'ENOENT')) return false; // it is gone already
    throw error;
  }
}

/**
 * Takes every mount of one device out of our mount namespace, wherever it is by now: it may have been moved, a directory above
 * it renamed, or bound to other places.
 *
 * A path is given to umount2(2) only where nothing of ours has to be asked on the way to it: the daemon would wait for itself.
 * With a mount go all that are below it.
 *
 * @param minor the device's minor number
 * @returns the paths of those that stay: beneath other mounts, or locked
 */
export function detachAll(minor: number): string[] {
  const isOurs = (mounted: Mounted): boolean =>
    mounted.type === MOUNT_TYPE && mounted.minor === minor;
  // Once the last is gone another filesystem may get the device's number.
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

/** Takes the mount out of the tree and aborts the connection: whoever waits gets ECONNABORTED. */
export function abort(path: string): void {
  unmountApart(path, MNT_FORCE | MNT_DETACH);
}
