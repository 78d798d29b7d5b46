/** What is mounted where: /proc/self/mountinfo, proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';

/** What mount(2) is told the type is, and mountinfo shows. */
export const MOUNT_TYPE = 'fuse.eventfs';

/** What statfs(2) says that any FUSE mount is: linux/magic.h. */
export const FUSE_SUPER_MAGIC = 0x65735546;

export interface Mounted {
  readonly mountPoint: string;
  readonly type: string;
  /** The minor number of its device: its name in /sys/fs/fuse/connections. */
  readonly minor: number;
}

/** Everything that is mounted; later mounts come later and hide earlier ones. */
export function parseMountinfo(text: string): Mounted[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [before, after] = line.split(' - ');
      const fields = before.split(' ');
      return {
        mountPoint: unescape(fields[4]),
        type: (after ?? '').split(' ')[0],
        minor: Number(fields[2].split(':')[1]),
      };
    });
}

/** What is mounted at exactly that path, on top. */
export function mountedAt(path: string): Mounted | undefined {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1')).findLast(({ mountPoint }) => mountPoint === path);
}

/** Blanks, line ends and backslashes are written as three octal digits. */
function unescape(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
