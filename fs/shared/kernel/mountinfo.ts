/** What is mounted where: /proc/self/mountinfo, proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';

/** What mount(2) is told the type is, and mountinfo shows. */
export const MOUNT_TYPE = 'fuse.eventfs';

/** What mount tables show as the source unless told otherwise. */
export const DEFAULT_MOUNT_SOURCE = 'eventfs';

/** What statfs(2) says that any FUSE mount is: linux/magic.h. */
export const FUSE_SUPER_MAGIC = 0x65735546;

export interface Mounted {
  /** The mount's number, and the number of the mount that it is on. */
  readonly id: number;
  readonly parent: number;
  readonly mountPoint: string;
  readonly type: string;
  /** The minor number of its device: its name in /sys/fs/fuse/connections. */
  readonly minor: number;
}

/** Everything that is mounted. The order says nothing: a mount that is moved keeps its place. */
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

/** Everything that is mounted in our mount namespace. */
export function mounts(): Mounted[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/** What is mounted at exactly that path, on top. */
export function mountedAt(path: string): Mounted | undefined {
  const stacked = mounts().filter(({ mountPoint }) => mountPoint === path);
  return (
    stacked.find((mounted) => !stacked.some(({ parent }) => parent === mounted.id)) ??
    stacked.at(-1)
  );
}

/** Whether a mount's path leads to it: no other mount lies on it, nor on a directory above it. */
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

/** A mount, the mount that it is on, the one that is on, and so on. */
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

/** Blanks, line ends and backslashes are written as three octal digits. */
function unescape(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(parseInt(digits, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
