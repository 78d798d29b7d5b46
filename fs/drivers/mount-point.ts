/** Putting a filesystem somewhere and taking it away again, with errors that say what to do. */
import { realpathSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { mount, openFuse, unmount } from '#native';
import { Refusal, isSystemError } from '../errno.js';
import { MOUNT_TYPE, mountedAt } from '../fuse/mountinfo.js';
import type { Complain } from '../fuse/session.js';

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

const OPEN_HINTS = {
  ENOENT: 'the kernel has no FUSE: try modprobe fuse',
  ENXIO: 'the kernel has no FUSE: try modprobe fuse',
  EPERM: 'try as root',
  EACCES: 'try as root, or a directory of your own in a user namespace: unshare -rm',
};
const MOUNT_HINTS = { EPERM: 'try as root, or a directory of your own in a user namespace: unshare -rm' };

/** A path in the form in which mountinfo shows it. The last part is not followed: it may be a mount that is dead. */
export function mountPath(directory: string): string {
  const path = resolve(directory);
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/** Whether a mount of ours is at `path`, and whether somebody serves it. */
export async function probe(path: string): Promise<'alive' | 'stale' | 'stuck' | 'other' | 'none'> {
  const mounted = mountedAt(path);
  if (mounted === undefined) return 'none';
  if (mounted.type !== MOUNT_TYPE) return 'other';
  // statfs(2) always asks the daemon. It is awaited in a thread, since a daemon that hangs would hang us.
  const answer = statfs(path).then(
    () => 'alive' as const,
    (error: unknown) => (isSystemError(error, 'ENOTCONN') || isSystemError(error, 'ECONNABORTED') ? ('stale' as const) : ('alive' as const)),
  );
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'stuck'>((done) => (timer = setTimeout(done, PROBE_TIMEOUT_MS, 'stuck')));
  return Promise.race([answer, timeout]).finally(() => clearTimeout(timer));
}

/** Makes sure that `path` is a directory that can be mounted on; takes a dead mount of ours away. Throws {@link Refusal}. */
export async function clearMountPoint(path: string, complain: Complain): Promise<void> {
  for (let state = await probe(path); state !== 'none'; state = await probe(path)) {
    if (state === 'other') {
      const type = mountedAt(path)?.type ?? 'another filesystem';
      throw new Refusal(`${path}: ${type} is mounted here already, and it is not ours (choose another directory)`);
    }
    if (state !== 'stale') throw new Refusal(`${path}: eventfs is mounted here already (try eventfs umount ${path} first)`);
    complain(`${path}: took away the mount of a daemon that was killed`);
    unmount(path, MNT_DETACH);
  }
  try {
    if (!statSync(path).isDirectory()) throw new Refusal(`${path}: Not a directory (give a directory to mount on)`);
  } catch (error) {
    if (isSystemError(error)) throw Refusal.from(error, path, { ENOENT: `try mkdir -p ${path}` });
    throw error;
  }
}

/** Opens a connection and mounts it; gives the descriptor to serve. Throws {@link Refusal}. */
export function mountFuse(path: string): number {
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
    mount('eventfs', path, MOUNT_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
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

/** Takes the mount out of the tree and aborts the connection: whoever waits gets ECONNABORTED. */
export function abort(path: string): void {
  unmount(path, MNT_FORCE | MNT_DETACH);
}
