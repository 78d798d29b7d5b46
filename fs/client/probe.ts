/** Finds out whether a mount exists, and whether its daemon serves it. */
import { spawn } from 'node:child_process';
import { accessSync, readlinkSync, realpathSync, statfsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError, isSystemError } from '../shared/errors.js';
import { MOUNT_TYPE, mountedAt } from '../shared/kernel/mountinfo.js';
import { tellsOfDaemonEnd } from './ended.js';

/** How long a mount may take to answer statfs(2). */
const PROBE_TIMEOUT_MS = 2000;

/** The reason why a user can't use an alive mount. */
export const KEPT_OUT = 'another user has mounted it, and it keeps other users out';

/** The most symlinks that one path may contain: linux/namei.h, MAXSYMLINKS. */
const MOST_LINKS = 40;

/**
 * Resolves a path into the form that mountinfo shows. Makes no request for its last part, which may
 * be a mount whose daemon is dead.
 *
 * @throws UsageError for an empty path
 */
export function mountPath(directory: string): string {
  if (directory === '')
    throw new UsageError("'': No such file or directory (give a directory to mount on)");
  let path = resolve(directory);
  try {
    for (let links = 0; links < MOST_LINKS; links++) {
      path = join(realpathSync(dirname(path)), basename(path));
      path = resolve(dirname(path), readlinkSync(path));
    }
  } catch {
    // EINVAL: it is no symlink, as expected. The caller gets other errors when it uses the path.
  }
  return path;
}

/**
 * Finds out what is mounted at a path.
 *
 * @param path as mountinfo shows it
 * @returns `none`: no mount; `other`: not eventfs; `stuck`: the daemon does not answer within 2 s;
 *   `stale`: the daemon is dead; else `alive`
 */
export async function probe(path: string): Promise<'alive' | 'stale' | 'stuck' | 'other' | 'none'> {
  const mounted = mountedAt(path);
  if (mounted === undefined) return 'none';
  if (mounted.type !== MOUNT_TYPE) return 'other';
  if (!(await answers(path))) return 'stuck';
  try {
    statfsSync(path);
  } catch (error) {
    if (tellsOfDaemonEnd(error)) return 'stale';
  }
  return 'alive';
}

/**
 * Tells whether an alive mount keeps this user out, root included: another user has mounted it
 * without allow_other.
 *
 * @param path as mountinfo shows it
 */
export function keepsOut(path: string): boolean {
  try {
    accessSync(path);
    return false;
  } catch (error) {
    return isSystemError(error, 'EACCES');
  }
}

/**
 * Tells whether statfs(2) returns in time; it always sends a request to the daemon. A child process
 * makes the call: a hanging child can be killed, but a hanging thread keeps this process from
 * ending.
 *
 * @returns true also if the call fails, or if there is no stat(1)
 */
export async function answers(path: string, timeoutMs = PROBE_TIMEOUT_MS): Promise<boolean> {
  const asking = spawn('stat', ['-f', path], { stdio: 'ignore' });
  return new Promise((done) => {
    // Through io_uring even a killed child may not end before the daemon has its request. So this
    // process does not wait for it.
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
    asking.once('error', () => end(true)); // there is no stat(1): assume that the daemon answers
  });
}
