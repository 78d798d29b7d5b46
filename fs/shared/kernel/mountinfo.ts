/** Reads the mounts of this mount namespace: /proc/self/mountinfo, proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';

/** The file system type that eventfs passes to mount(2), and that mountinfo shows. */
export const MOUNT_TYPE = 'fuse.eventfs';

/** The directory that eventfs is mounted on unless a user names another. */
export const DEFAULT_DIRECTORY = '/dev/events';

/** The default source of the mount in mount tables. */
export const DEFAULT_MOUNT_SOURCE = 'eventfs';

/** The f_type that statfs(2) returns for every FUSE mount: linux/magic.h. */
export const FUSE_SUPER_MAGIC = 0x65735546;

/** One line of mountinfo. */
export interface Mounted {
  /** The mount's id. */
  readonly id: number;
  /** The id of the mount that it is mounted on. */
  readonly parent: number;
  readonly mountPoint: string;
  readonly type: string;
  /** The minor number of its device: the mount's name in /sys/fs/fuse/connections. */
  readonly minor: number;
}

/**
 * Parses the text of mountinfo. The order means nothing: a moved mount keeps its place.
 *
 * @param text one character for each byte
 */
export function parseMountinfo(text: string): Mounted[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [before, after] = line.split(' - ');
      const fields = before.split(' ');
      return {
        id: Number(fields[0]),
        parent: Number(fields[1]),
        mountPoint: unescape(fields[4]),
        type: (after ?? '').split(' ')[0],
        minor: Number(fields[2].split(':')[1]),
      };
    });
}

/**
 * Returns all mounts of this process's mount namespace.
 *
 * @throws SystemError if /proc/self/mountinfo cannot be read
 */
export function mounts(): Mounted[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/**
 * Returns the topmost mount at exactly this path.
 *
 * @returns undefined if there is no mount
 * @throws SystemError if /proc/self/mountinfo cannot be read
 */
export function mountedAt(path: string): Mounted | undefined {
  const stacked = mounts().filter(({ mountPoint }) => mountPoint === path);
  return (
    stacked.find((mounted) => !stacked.some(({ parent }) => parent === mounted.id)) ??
    stacked.at(-1)
  );
}

/**
 * Returns the mount that a path lies in, without a look at the path itself.
 *
 * @param path an absolute path without symlinks
 * @returns undefined if no mount holds it
 * @throws SystemError if /proc/self/mountinfo cannot be read
 */
export function enclosing(path: string): Mounted | undefined {
  const all = mounts();
  const holders = all.filter(
    (mounted) => path.startsWith(slashed(mounted.mountPoint)) && isReachable(mounted, all),
  );
  return holders.sort((a, b) => b.mountPoint.length - a.mountPoint.length)[0];
}

/**
 * Returns whether a mount's path leads to it: no other mount covers it or a directory above it.
 *
 * @param all all mounts of the namespace
 */
export function isReachable(mounted: Mounted, all: readonly Mounted[]): boolean {
  if (
    all.some(({ parent, mountPoint }) => parent === mounted.id && mountPoint === mounted.mountPoint)
  )
    return false;
  return ancestors(mounted, all).every((each) => {
    return !all.some(
      (other) =>
        other.id !== each.id &&
        other.parent === each.parent &&
        each.mountPoint.startsWith(slashed(other.mountPoint)),
    );
  });
}

/**
 * Returns the chain of a mount: the mount itself, the mount below it, and so on to the root.
 *
 * @param all all mounts of the namespace
 */
export function ancestors(mounted: Mounted, all: readonly Mounted[]): Mounted[] {
  const found = [mounted];
  for (
    let above = all.find(({ id }) => id === mounted.parent);
    above !== undefined && !found.includes(above);
  ) {
    found.push(above);
    const { parent } = above;
    above = all.find(({ id }) => id === parent);
  }
  return found;
}

function slashed(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}

/** Decodes a path: mountinfo writes blanks, line ends and backslashes as three octal digits. */
function unescape(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(parseInt(digits, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
