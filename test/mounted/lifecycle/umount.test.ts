/** `eventfs umount`. */
import * as assert from 'uvu/assert';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mount as mountFilesystem, unmount } from '#native';
import { servingProcess } from '../../../fs/client/serving.js';
import { reach, statusOf } from '../../support/clients/actor.js';
import {
  EVENTFS_NODE,
  EVENTFS_SCRIPT,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { asUser, eventfsForOthers, NOBODY } from '../../support/mount/other-user.js';
import { childrenOf, stateOf } from '../../support/processes.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import { blockedCat, cleanUp, eventfs, prepare } from './common.js';

/** These tests start programs for most of their time, each for a mount of its own. */
const umount = sideBySide(suite('eventfs umount'), 2);
umount.before(prepare);
umount.after(cleanUp);

umount('ends the daemon with 0, and returns the end of the file to blocked readers', async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
  assert.not(isMounted(daemon.path));
  assert.equal(await cat.ended, { out: '', err: '', code: 0 });
  assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
});

/** A daemon that opens and closes descriptors all the time, as for owners that come and go. */
const CHURNING = `import { closeSync, openSync } from 'node:fs';
let many = [];
setInterval(() => {
  if (many.length === 0) many = Array.from({ length: 200 }, () => openSync('/dev/null', 'r'));
  else for (const fd of many.splice(0)) closeSync(fd);
}, 0).unref();`;

umount('finds a daemon whose descriptors come and go', async () => {
  const preload = `data:text/javascript,${encodeURIComponent(CHURNING)}`;
  const daemon = await startDaemon(undefined, undefined, {
    eventfs: [process.execPath, '--import', preload, EVENTFS_SCRIPT],
  });
  for (let n = 0; n < 300; n++) assert.is(servingProcess(daemon.path), daemon.pid, `look ${n}`);
  const cat = await blockedCat(`${daemon.path}/stream`);
  assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
  assert.equal(await cat.ended, { out: '', err: '', code: 0 });
  assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
});

umount('removes the mount of a killed daemon', async () => {
  const daemon = await startDaemon();
  await daemon.kill();
  assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
  assert.not(isMounted(daemon.path));
  assert.is(reach(daemon.path), 'ok');
});

umount('aborts the connection of a daemon that does not answer', async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  // With io_uring no abort ends a request that is on its way to a daemon which has stopped
  const isParked = async (): Promise<boolean> =>
    (await statusOf(`${daemon.path}/log`, 'PARKED')) === '1';
  await until(isParked, 'the read is not parked');
  process.kill(daemon.pid, 'SIGSTOP');
  await until(() => stateOf(daemon.pid) === 'T', 'the daemon does not stop');
  try {
    assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
    assert.not(isMounted(daemon.path));
    assert.is((await within(20_000, cat.ended, 'cat did not end')).code, 1);
  } finally {
    process.kill(daemon.pid, 'SIGCONT');
  }
  assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
});

umount(
  'aborts the connection from a PID namespace in which the PID belongs to another process',
  async () => {
    const daemon = await startDaemon();
    const cat = await blockedCat(`${daemon.path}/stream`);
    // unshare -p makes a PID namespace that keeps the outer /proc.
    const ended = await run([
      'unshare',
      '-pf',
      '--kill-child',
      ...EVENTFS_NODE,
      'umount',
      daemon.path,
    ]);
    assert.equal(ended, { out: '', err: '', code: 0 });
    assert.not(isMounted(daemon.path));
    assert.is((await within(20_000, cat.ended, 'cat did not end')).code, 1);
    assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
  },
);

umount('leaves the daemon of another mount alone that has the same PID here', async () => {
  const other = await startDaemon();
  // The kernel gives the next process of the new PID namespace the PID of the other daemon.
  const script =
    'mount -t proc proc /proc; echo $(($0 - 1)) > /proc/sys/kernel/ns_last_pid; "$@"; exit';
  const under = ['unshare', '-mpf', '--kill-child', 'sh', '-ec', script, String(other.pid)];
  const daemon = await startDaemon([], mountPoint(), { under });
  const [shell] = childrenOf(daemon.pid);
  const seen = `/proc/${shell}/root${daemon.path}`;
  assert.is(await statusOf(`${seen}/log`, 'DAEMON'), String(other.pid));
  // A process of the outer PID namespace, with its own /proc, in which both daemons are mounted.
  const beside = ['nsenter', `--mount=/proc/${shell}/ns/mnt`, 'unshare', '-m', 'sh', '-ec'];
  const command = ['mount -t proc proc /proc; exec "$@"', 'sh', ...EVENTFS_NODE, 'umount'];
  const ended = await run([...beside, ...command, daemon.path]);
  assert.equal(ended, { out: '', err: '', code: 0 });
  await within(20_000, daemon.ended, 'the daemon did not end');
  assert.is(await statusOf(`${other.path}/log`, 'DAEMON'), String(other.pid));
  assert.is(await other.stop(), 0);
});

umount('says that eventfs is not mounted there', async () => {
  const path = mountPoint();
  const missing = join(path, 'missing');
  for (const directory of [path, missing]) {
    const { out, err, code } = await eventfs('umount', directory);
    assert.equal([out, code], ['', 102]);
    const start = `eventfs: umount: ${directory}: eventfs is not mounted here (it is mounted `;
    assert.ok(err.startsWith(start) && err.endsWith(')\n'), err);
  }
});

umount('says where eventfs is mounted', async () => {
  const [one, two] = [await startDaemon(), await startDaemon()];
  const { err } = await eventfs('umount', mountPoint());
  const listed = /\(it is mounted on (.*)\)\n$/.exec(err)?.[1].split(', ') ?? [];
  assert.ok(listed.includes(one.path) && listed.includes(two.path), err);
  await one.stop();
  await two.stop();
  const alone = ['unshare', '--mount', 'sh', '-c', 'umount -a -l -t fuse.eventfs; exec "$@"', 'sh'];
  const nowhere = await run([...alone, ...EVENTFS_NODE, 'umount', mountPoint()]);
  assert.match(nowhere.err, /\(it is mounted nowhere in this mount namespace\)\n$/);
});

umount('leaves another filesystem alone', async () => {
  const path = mountPoint();
  mountFilesystem('none', path, 'tmpfs', 0, '');
  try {
    mkdirSync(join(path, 'kept'));
    assert.equal(await eventfs('umount', path), {
      out: '',
      err: `eventfs: umount: ${path}: tmpfs is mounted here, not eventfs (try umount ${path})\n`,
      code: 102,
    });
    assert.is(reach(join(path, 'kept')), 'ok');
  } finally {
    unmount(path, 0);
  }
});

umount('says what to try to a user who may not unmount', async () => {
  const daemon = await startDaemon();
  const ended = await run([...asUser(NOBODY, 0), ...eventfsForOthers(), 'umount', daemon.path]);
  assert.equal(ended, {
    out: '',
    err: `eventfs: umount: ${daemon.path}: Operation not permitted (try as root)\n`,
    code: 111,
  });
  assert.is(reach(`${daemon.path}/stream`), 'ok');
  assert.is(await daemon.stop(), 0);
});

umount.run();
