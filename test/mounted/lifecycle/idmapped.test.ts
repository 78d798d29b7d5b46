/**
 * mount_setattr(2) with MOUNT_ATTR_IDMAP, which container runtimes use for volumes. The kernel
 * refuses it for eventfs, so that each caller keeps its own uid.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { mountPoint, run, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { skip } from '../../support/runner/suite.js';

/**
 * Calls open_tree(2) and mount_setattr(2) by their numbers, which all machines share. Prints the
 * errno's name, or 0.
 */
const IDMAP = `
import ctypes, errno, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
tree = libc.syscall(428, -100, sys.argv[1].encode(), 1 | 0o2000000)
attributes = struct.pack('QQQQ', 0x00100000, 0, 0, os.open('/proc/%s/ns/user' % sys.argv[2], os.O_RDONLY))
print(0 if libc.syscall(442, tree, b'', 0x1000, attributes, len(attributes)) == 0 else errno.errorcode[ctypes.get_errno()])
`;

const idmapped = mounted('an idmapped mount');

idmapped('is refused with EINVAL if the kernel can idmap a tmpfs', async () => {
  const owner = spawn('unshare', ['--user', 'sleep', '100'], { stdio: 'ignore' });
  const ended = once(owner, 'exit');
  try {
    const namespace = (pid: number | string): string => readlinkSync(`/proc/${pid}/ns/user`);
    await until(() => namespace(owner.pid!) !== namespace('self'), 'there is no user namespace');
    for (const map of ['uid_map', 'gid_map'])
      writeFileSync(`/proc/${owner.pid}/${map}`, '0 100000 65536');
    const idmap = async (path: string): Promise<string> =>
      (await run(['python3', '-c', IDMAP, path, String(owner.pid)])).out;
    const other = join(mountPoint(), 'tmpfs');
    mkdirSync(other);
    const onTmpfs = await run([
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none "$0" && exec "$@"',
      other,
      'python3',
      '-c',
      IDMAP,
      other,
      String(owner.pid),
    ]);
    if (onTmpfs.out !== '0\n')
      skip(`tmpfs can't be idmapped by this kernel: ${onTmpfs.out}${onTmpfs.err}`);
    assert.is(await idmap(daemon.path), 'EINVAL\n');
  } finally {
    owner.kill();
    await ended;
  }
});

idmapped.run();
