/** Why fusermount3(1) can't mount, and what to do about it. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { FailedCallError, UserError } from '../../shared/errors.js';
import { kernelsRoot } from '../../shared/kernel/kernels-root.js';

/** The program that mounts for users. */
export interface Fusermount {
  readonly path: string;
  /** Whether it is set-user-ID root. If not, it can't mount. */
  readonly isSetuid: boolean;
}

/** The list of mounts in which fusermount3 looks for a mount before it unmounts it. */
const MTAB = '/etc/mtab';

/** The program's messages (util/fusermount.c), and the remedies. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/no write access|not owned by user/, 'choose a directory of your own'],
  [/filesystem type/, 'choose a directory on a local disk or on tmpfs'],
  [/too many FUSE|mount_max/, 'unmount another FUSE filesystem, or raise mount_max in fuse.conf'],
  [/username/, 'give this user id a name in /etc/passwd'],
  [/unknown option/, 'install fuse3 instead of an older fuse'],
];

/** An obstacle, and what to do about it. */
interface Obstacle {
  readonly what: string;
  readonly mend: string;
}

/**
 * Returns a reason why the program can't unmount what it has mounted. debootstrap's trees and some
 * images of containers lack the file.
 *
 * @returns undefined if nothing is known to hinder it
 */
export function unmountHindrance(): Obstacle | undefined {
  try {
    accessSync(MTAB, constants.R_OK);
    return undefined;
  } catch {
    return {
      what: `fusermount3 can't unmount without ${MTAB}`,
      mend: `as root: ln -s /proc/self/mounts ${MTAB}`,
    };
  }
}

/**
 * Returns a reason why the program can't mount at all, and a remedy, for `mount` and `doctor`.
 *
 * @returns undefined if nothing is known to hinder it
 */
export function hindrance({ path, isSetuid }: Fusermount): Obstacle | undefined {
  if (!kernelsRoot.isMapped)
    return {
      what: `this user namespace has no uid for root, so ${path} can't mount`,
      mend: 'make the namespace with unshare -Urm',
    };
  if (!isSetuid)
    return {
      what: `${path} is not set-user-ID root, so it can't mount`,
      mend: `as root: chown root ${path} && chmod u+s ${path}`,
    };
  if (gainsNoPrivileges())
    return {
      what: `this process can't gain rights (no_new_privs), so ${path} can't mount`,
      mend: 'start it without NoNewPrivileges=yes, or in unshare -Urm',
    };
  return undefined;
}

function gainsNoPrivileges(): boolean {
  return /^NoNewPrivs:\t1$/m.test(readFileSync('/proc/self/status', 'latin1'));
}

/**
 * Makes the error of a failed mount.
 *
 * @param path the mount point
 * @param said the program's standard error
 */
export function whyRefused(program: Fusermount, path: string, said: string): UserError {
  const obstacle = /Operation not permitted|must be run as root/i.test(said)
    ? hindrance(program)
    : undefined;
  if (obstacle !== undefined)
    return new FailedCallError(`${path}: ${obstacle.what} (${obstacle.mend})`);
  const lines = said.split('\n').map((line) => line.replace(/^\S*fusermount3?: */, '').trim());
  const reason = lines.filter((line) => line !== '').at(-1) ?? 'it gives no reason';
  const remedy = REMEDIES.find(([pattern]) => pattern.test(reason))?.[1] ?? 'try as root';
  return new UserError(`${path}: ${program.path} refuses to mount: ${reason} (${remedy})`);
}
