/** Whether a mount is there, and whether its daemon serves it. */
import { spawn } from 'node:child_process';
import { readlinkSync, realpathSync, statfsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError, isSystemError } from '../shared/errors.js';
import { MOUNT_TYPE, mountedAt } from '../shared/kernel/mountinfo.js';

/** How long a mount may take to say whether it is alive. */
const PROBE_TIMEOUT_MS = 2000;

/** The most symbolic links that one path may go through: linux/namei.h, MAXSYMLINKS. */
const MOST_LINKS = 40;

/** A path in the form in which mountinfo shows it. Nothing is asked of its last part, which may be a mount that is dead. */
export function mountPath(directory: string): string {
  if (directory === '')
    throw new UserError("'': No such file or directory (give a directory to mount on)");
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
    if (['ENOTCONN', 'ECONNABORTED', 'ECANCELED'].some((code) => isSystemError(error, code)))
      return 'stale';
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
