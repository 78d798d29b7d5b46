/** The refusals of `eventfs mount` where a user or a container lacks something. */
import * as assert from 'uvu/assert';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import {
  isMounted,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  hasSaid,
} from '../../support/mount/daemon.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';
import { EVENTFS_NODE, withPreload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';
import { FUSERMOUNT, MISSING, asUser, findings, ownMountPoint } from './common.js';

const Exit = { failed: 1, systemCall: 111 } as const;

const refused = suite('eventfs mount without root');
refused.before(() => assert.is(MISSING, null));
refused.after(killDaemons);

/** Asserts that a mount is refused in one line. */
async function says(
  command: readonly string[],
  path: string,
  line: string | RegExp,
  code: number,
): Promise<void> {
  const ended = await run([...command, 'mount', '--source', 'none', path]);
  assert.match(ended.err, /^eventfs: mount: [^\n]+\n$/);
  assert.match(ended.err, line);
  assert.is(ended.code, code, ended.err);
  assert.not(isMounted(path));
}

/** A command that runs `eventfs` in a mount namespace that shell commands change first. */
function where(prepare: string, user: readonly string[] = AS_NOBODY): readonly string[] {
  return [
    'unshare',
    '-m',
    'sh',
    '-ec',
    `${prepare}; exec "$@"`,
    'sh',
    ...user,
    ...eventfsForOthers(),
  ];
}

/** Shell commands that put another file in the place of fusermount3, with a mode. */
function instead(file: string, mode: string): string {
  const parts = [`mount -t tmpfs none /mnt`, `cp ${file} /mnt/other`, `chmod ${mode} /mnt/other`];
  return [...parts, `mount --bind /mnt/other ${FUSERMOUNT}`].join('; ');
}

refused('says what to install where fusermount3 is missing', async () => {
  const path = ownMountPoint();
  const missing = instead('/dev/null', '0');
  await says(where(missing), path, 'Operation not permitted (install fuse3', Exit.systemCall);
  const found = await findings(path, ['unshare', '-m', 'sh', '-ec', `${missing}; exec "$@"`, 'sh']);
  const finding = found.find(({ what }) => what.startsWith('fusermount3 is missing'));
  assert.is(finding?.level, 'warn');
  const native = [...where(missing), 'mount', '--driver', 'fuse-native', path];
  assert.match((await run(native)).err, /^eventfs: mount: [^\n]*install fuse3[^\n]*\n$/);
});

refused('says why fusermount3 can not mount', async () => {
  const path = ownMountPoint();
  const plain = where(instead(FUSERMOUNT, '755'));
  const mode = `${FUSERMOUNT} is not set-user-ID root, so it can't mount (as root: chown root`;
  await says(plain, path, mode, Exit.systemCall);
  const bound = [...AS_NOBODY, '--no-new-privs', ...eventfsForOthers()];
  await says(bound, path, "this process can't gain rights (no_new_privs)", Exit.systemCall);
});

refused('says that fusermount3 can not unmount without /etc/mtab', async () => {
  const path = ownMountPoint();
  const bare = [
    'mount -t tmpfs none /mnt',
    'cp -a /etc/. /mnt; rm -f /mnt/mtab',
    'mount --bind /mnt /etc',
  ].join('; ');
  const script = `
    "$@" mount --source none ${path} & until test -e ${path}/publish; do sleep 0.1; done
    "$@" umount ${path}; echo code $?; wait`;
  const user = [...AS_NOBODY, 'sh', '-c', script, 'sh'];
  const { out, err } = await run([...where(bare, user)]);
  const mend = 'as root: ln -s /proc/self/mounts /etc/mtab';
  const why = "fusermount3 can't unmount without /etc/mtab";
  assert.is(out, 'code 111\n', err);
  assert.match(err, `${why}, so this mount stays (${mend})`);
  assert.match(err, `${path}: the mount stays (${why}: ${mend})`);
  assert.match(err, `eventfs: umount: ${path}: Operation not permitted (${why}: ${mend})`);
  const found = await findings(path, ['unshare', '-m', 'sh', '-ec', `${bare}; exec "$@"`, 'sh']);
  assert.equal(
    found.find(({ what }) => what === why),
    { level: 'warn', what: why, mend },
  );
});

refused('passes the reason of fusermount3 on, with a remedy', async () => {
  const command = [...AS_NOBODY, ...eventfsForOthers()];
  const own = ownMountPoint();
  const foreign = mountPoint();
  chmodSync(foreign, 0o755);
  const access = `${foreign}: ${FUSERMOUNT} refuses to mount: user has no write access to mountpoint ${foreign} (choose a directory of your own)`;
  await says(command, foreign, access, Exit.failed);
  const full = `echo mount_max = 0 >/mnt/fuse.conf`;
  const most = where(
    `mount -t tmpfs none /mnt; ${full}; mount --bind /mnt/fuse.conf /etc/fuse.conf`,
  );
  await says(most, own, 'raise mount_max in fuse.conf', Exit.failed);
  // No reply of the program: it ends without a word
  await says(where(instead('/bin/true', '4755')), own, 'it gives no reason', Exit.failed);
});

refused('says what /dev/fuse lacks', async () => {
  const path = ownMountPoint();
  const command = 'mount -t tmpfs none /mnt; cp -a /dev/null /mnt/null; mount --bind /mnt /dev';
  const none = `/dev/fuse: No such file or directory (as root: mknod -m 666 /dev/fuse c 10 229`;
  await says(where(command), path, none, Exit.systemCall);
  await says(where(command, []), path, '(mknod -m 666 /dev/fuse c 10 229', Exit.systemCall);
  const hidden = `mount -t tmpfs none /mnt; mknod -m 600 /mnt/fuse c 10 229; mount --bind /mnt/fuse /dev/fuse`;
  const denied = '/dev/fuse: Permission denied (as root: chmod 666 /dev/fuse';
  await says(where(hidden), path, denied, Exit.systemCall);
  const wrong = 'mount --bind /dev/null /dev/fuse';
  await says(where(wrong, []), path, '/dev/fuse must be the device c 10:229', Exit.systemCall);
});

refused('says that the kernel has no FUSE new enough', async () => {
  const path = mountPoint();
  const old = withPreload('old-kernel');
  const line = `${path}: the kernel has FUSE 7.23, but eventfs needs 7.31 (run Linux 5.4 or newer)`;
  await says(old, path, line, Exit.failed);
});

refused('says that a mount point is inside an eventfs, of another daemon or its own', async () => {
  const daemon = await startDaemon(['--source', 'none', '--sticky', 'inner']);
  const path = `${daemon.path}/inner`;
  const line = `${path}: it is inside the eventfs at ${daemon.path} (choose a directory outside of it)`;
  await says(EVENTFS_NODE, path, line, Exit.failed);
  await daemon.kill();
  const again = `${daemon.path}/log`;
  await says(EVENTFS_NODE, again, `${again}: it is inside`, Exit.failed);
  assert.is((await run([...EVENTFS_NODE, 'umount', daemon.path])).code, 0);
});

refused('says that a daemon would wait for itself, as in /proc', async () => {
  const path = `/proc/${process.pid}/fdinfo`;
  await says(EVENTFS_NODE, path, `${path}: it is in /proc, which the daemon reads`, Exit.failed);
});

refused('says that the receive buffer is small without CAP_NET_ADMIN', async () => {
  const under = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];
  const daemon = await startDaemon(['--source', 'kernel'], mountPoint(), { under });
  await hasSaid(
    daemon,
    /^eventfs: mount: \S+: the socket for the kernel's events holds \d+ KiB instead of 128 MiB, so a storm of events may overrun it \(as root: sysctl -w net.core.rmem_max=134217728\) \(docs\/without-root.md\)\n$/,
  );
  assert.is(await daemon.stop(), 0);
});

refused("reads the user's own configuration, not the machine's", async () => {
  const home = ownMountPoint();
  mkdirSync(`${home}/.config`);
  writeFileSync(`${home}/.config/eventfs.toml`, 'no_such_key = 1\n');
  const ended = await run([...AS_NOBODY, ...eventfsForOthers(), 'mount', ownMountPoint()], {
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: '' },
  });
  assert.match(ended.err, `${home}/.config/eventfs.toml`);
  assert.is(ended.code, 100);
  rmSync(`${home}/.config`, { recursive: true });
  assert.is((await asUser('umount', home)).code, 102);
});

refused.run();
