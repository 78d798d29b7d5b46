/** Putting a filesystem somewhere and taking it away again, with errors that say what to do. */
import { spawn } from 'node:child_process';
import { readlinkSync, realpathSync, statSync, statfsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { mount, openFuse, unmount, unmountApart } from '#native';
import { Refusal, isSystemError } from '../../shared/errors.js';
import { MOUNT_TYPE, type Mounted, ancestors, isReachable, mountedAt, mounts } from '../../shared/mountinfo.js';
import type { Complain } from '../../shared/complaints.js';

/** mount(2): linux/mount.h. */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
/** umount2(2). */
const MNT_FORCE = 1;
const MNT_DETACH = 2;

/** How long a mount may take to say whether it is alive. */
const PROBE_TIMEOUT_MS = 2000;

/** Anyone may make a directory here. */
const ROOT_MODE = '41777';

export const OPEN_HINTS = {
  ENOENT: 'the kernel has no FUSE: try modprobe fuse',
  ENXIO: 'the kernel has no FUSE: try modprobe fuse',
  EPERM: 'try as root',
  EACCES: 'try as root, or a directory of your own in a user namespace: unshare -rm',
};
export const MOUNT_HINTS = { EPERM: 'try as root, or a directory of your own in a user namespace: unshare -rm' };

/** The most symbolic links that one path may go through: linux/namei.h, MAXSYMLINKS. */
const MOST_LINKS = 40;

/** A path in the form in which mountinfo shows it. Nothing is asked of its last part, which may be a mount that is dead. */
export function mountPath(directory: string): string {
  if (directory === '') throw new Refusal("'': No such file or directory (give a directory to mount on)");
  let path = resolve(directory);
  try {
    for (let links = 0; links < MOST_LINKS; links++) {
      path = join(realpathSync(dirname(path)), basename(path));
      path = resolve(dirname(path), readlinkSync(path));
    }
  } catch {
    // EINVAL: it is no symbolic link, as it should be. Of other errors whoever uses the path will hear.
  }
  return path;
}

/** Whether a mount of ours is at `path`, and whether somebody serves it. */
export async function probe(path: string): Promise<'alive' | 'stale' | 'stuck' | 'other' | 'none'> {
  const mounted = mountedAt(path);
  if (mounted === undefined) return 'none';
  if (mounted.type !== MOUNT_TYPE) return 'other';
  if (!(await answers(path))) return 'stuck';
  try {
    statfsSync(path);
  } catch (error) {
    if (['ENOTCONN', 'ECONNABORTED', 'ECANCELED'].some((code) => isSystemError(error, code))) return 'stale';
  }
  return 'alive';
}

/**
 * Whether statfs(2), which always asks the daemon, comes to an end. A process of its own asks: one that hangs can be
 * killed, while a thread of ours that hangs would keep us from ending.
 */
export async function answers(path: string, timeoutMs = PROBE_TIMEOUT_MS): Promise<boolean> {
  const asking = spawn('stat', ['-f', path], { stdio: 'ignore' });
  return new Promise((done) => {
    // Through io_uring it may not end before the daemon has its request, killed or not: so it is left to itself.
    const late = setTimeout(() => {
      asking.kill('SIGKILL');
      asking.unref();
      done(false);
    }, timeoutMs);
    const end = (isAlive: boolean): void => {
      clearTimeout(late);
      done(isAlive);
    };
    asking.once('exit', () => end(true));
    asking.once('error', () => end(true)); // there is no stat(1): hope for the best
  });
}

/** Makes sure that `path` is a directory that can be mounted on; takes a dead mount of ours away. Throws {@link Refusal}. */
export async function clearMountPoint(path: string, complain: Complain): Promise<void> {
  for (let state = await probe(path); state !== 'none'; state = await probe(path)) {
    if (state === 'other') {
      const type = mountedAt(path)?.type ?? 'another filesystem';
      throw new Refusal(`${path}: ${type} is mounted here already, and it is not ours (choose another directory)`);
    }
    if (state !== 'stale') throw new Refusal(`${path}: eventfs is mounted here already (try eventfs umount ${path} first)`);
    try {
      unmount(path, MNT_DETACH);
    } catch (error) {
      if (isSystemError(error)) throw Refusal.from(error, path, { EPERM: 'a daemon that was killed has left a mount here: try as root' });
      throw error;
    }
    complain(`${path}: took away the mount of a daemon that was killed`);
  }
  try {
    if (!statSync(path).isDirectory()) throw new Refusal(`${path}: Not a directory (give a directory to mount on)`);
  } catch (error) {
    if (isSystemError(error)) throw Refusal.from(error, path, { ENOENT: `try mkdir -p ${path}` });
    throw error;
  }
}

/** Opens a connection and mounts it; gives the descriptor to serve. Throws {@link Refusal}. @param source its name in mount tables */
export function mountFuse(path: string, source: string): number {
  let fd: number;
  try {
    fd = openFuse();
  } catch (error) {
    if (isSystemError(error)) throw Refusal.from(error, '/dev/fuse', OPEN_HINTS);
    throw error;
  }
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const options = `fd=${fd},rootmode=${ROOT_MODE},user_id=${uid},group_id=${gid},default_permissions,allow_other`;
  try {
    mount(source, path, MOUNT_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
  } catch (error) {
    if (isSystemError(error)) throw Refusal.from(error, path, MOUNT_HINTS);
    throw error;
  }
  return fd;
}

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
  const isOurs = (mounted: Mounted): boolean => mounted.type === MOUNT_TYPE && mounted.minor === minor;
  // Once the last is gone another filesystem may get the device's number.
  const known = new Set(mounts().filter(isOurs).map(({ id }) => id));
  const tried = new Set<number>();
  for (;;) {
    const all = mounts();
    const ours = all.filter((mounted) => isOurs(mounted) && known.has(mounted.id));
    const next = ours.find((mounted) => {
      const isBelowOurs = ancestors(mounted, all).some((above) => above.mountPoint !== mounted.mountPoint && ours.includes(above));
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

/** The same when a daemon ends; the log names the mounts that stay. */
export function detachOrTell(minor: number, complain: Complain): void {
  for (const path of detachAll(minor)) complain(`${path}: its mount stays, beneath another one (try umount there once that is gone)`);
}

/** Takes the mount out of the tree and aborts the connection: whoever waits gets ECONNABORTED. */
export function abort(path: string): void {
  unmountApart(path, MNT_FORCE | MNT_DETACH);
}
