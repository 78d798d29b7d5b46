import * as assert from 'uvu/assert';
import { isReachable, mountedAt, parseMountinfo } from '../../../fs/shared/kernel/mountinfo.js';
import { suite } from '../../support/runner/suite.js';

const mountinfo = suite('mountinfo');

mountinfo('has mount point and connection of each mount', () => {
  // proc_pid_mountinfo(5): any number of optional fields come before the dash.
  const text =
    '36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n' +
    '37 36 0:65 / /dev/events rw,nosuid,nodev,noexec,relatime shared:12 master:3 - fuse.eventfs eventfs rw,user_id=0\n' +
    '38 36 0:4 / /proc rw - proc proc rw\n';
  assert.equal(parseMountinfo(text), [
    { id: 36, parent: 35, mountPoint: '/mnt/parent', type: 'ext3', minor: 0 },
    { id: 37, parent: 36, mountPoint: '/dev/events', type: 'fuse.eventfs', minor: 65 },
    { id: 38, parent: 36, mountPoint: '/proc', type: 'proc', minor: 4 },
  ]);
});

mountinfo('has blanks, line ends and backslashes as three octal digits', () => {
  const path = '/a\\040b\\011c\\012d\\134040\\055';
  const [{ mountPoint }] = parseMountinfo(`1 2 0:3 / ${path} rw - tmpfs none rw\n`);
  assert.is(mountPoint, '/a b\tc\nd\\040-');
});

mountinfo('keeps a path in UTF-8', () => {
  const line = Buffer.from('1 2 0:3 / /größe\\040ß rw - tmpfs none rw\n').toString('latin1');
  assert.is(parseMountinfo(line)[0].mountPoint, '/größe ß');
});

mountinfo('shows the mount that a path leads to, in any order of its lines', () => {
  const text = [
    '1 0 8:1 / / rw - ext4 /dev/sda rw',
    '90 30 0:9 / /a rw - tmpfs over rw', // moved there: it is older than what it lies on
    '30 1 0:3 / /a rw - tmpfs under rw',
    '40 30 0:4 / /a/b rw - fuse.eventfs hidden rw', // on what 90 lies on
    '50 1 0:5 / /c/d rw - tmpfs seen rw',
    '60 1 0:6 / /e/f rw - tmpfs hidden rw',
    '70 1 0:7 / /e rw - tmpfs seen rw',
    '71 1 0:7 / /ef rw - tmpfs seen rw',
  ].join('\n');
  const all = parseMountinfo(text);
  const reachable = all.filter((mounted) => isReachable(mounted, all)).map(({ id }) => id);
  assert.equal(reachable, [1, 90, 50, 70, 71]);
});

mountinfo('is read from the kernel', () => {
  assert.equal(parseMountinfo(''), []);
  assert.is(mountedAt('/proc')?.type, 'proc');
  assert.is(mountedAt('/nothing/is/mounted/here'), undefined);
});

mountinfo.run();
