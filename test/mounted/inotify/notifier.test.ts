/** The notifier's process: its descriptors, its deaths, and its end. */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { reach } from '../../support/clients/actor.js';
import { killClients, publishNumbered } from '../../support/clients/clients.js';
import {
  EVENTFS_NODE,
  isMounted,
  killDaemons,
  mountPoint,
  removeMountPoint,
  run,
  startDaemon,
  until,
  hasSaid,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { helperOf } from '../../support/clients/watcher.js';
import { isDead, descriptors } from '../../support/processes.js';
import { killOwners, listed, watchedDirectory } from './common.js';

const helper = suite('the notifier');

helper.after(async () => {
  killOwners();
  await killClients(); // clients of tests that failed
  await killDaemons();
});

helper('has neither /dev/fuse nor the mount open', async () => {
  const { served, owner, watcher } = await watchedDirectory();
  publishNumbered(served.path, 5);
  await watcher.creates(5);
  const pid = helperOf(served.pid);
  await until(
    () => descriptors(pid).length === 3,
    () => `the notifier has more open than its pipes: ${descriptors(pid).join(', ')}`,
  );
  assert.equal(descriptors(pid, /fuse|eventfs-/), []);
  await watcher.end();
  await owner.kill();
  await served.stop();
  assert.ok(isDead(pid));
});

helper('inherits no descriptor that the daemon was started with', async () => {
  const served = await startDaemon(undefined, mountPoint(), {
    under: ['bash', '-c', 'exec 9< /etc/passwd; exec "$@"', 'bash'],
  });
  assert.is(descriptors(served.pid, /passwd$/).length, 1);
  await until(() => helperOf(served.pid) !== 0, 'there is no notifier');
  await until(
    () => descriptors(helperOf(served.pid)).length === 3,
    () => `the notifier has ${descriptors(helperOf(served.pid)).join(', ')} open`,
  );
  await served.stop();
});

helper('survives signals to its process group: the daemon decides when it ends', async () => {
  const { served, owner, watcher } = await watchedDirectory();
  publishNumbered(served.path, 1);
  await watcher.creates(1);
  const pid = helperOf(served.pid);
  for (const signal of [
    'SIGINT',
    'SIGTERM',
    'SIGHUP',
    'SIGQUIT',
    'SIGPIPE',
    'SIGUSR1',
    'SIGUSR2',
  ] as const) {
    process.kill(pid, signal);
    publishNumbered(served.path, 1);
    await watcher.creates(watcher.created.length + 1);
    assert.is(helperOf(served.pid), pid, signal);
  }
  assert.is(served.log(), '');
  await watcher.end();
  await owner.kill();
  await served.stop();
});

helper('is started again when it is killed, and no notice is lost', async () => {
  const { served, owner, path, watcher } = await watchedDirectory();
  publishNumbered(served.path, 5);
  await watcher.creates(5);
  const first = helperOf(served.pid);
  process.kill(first, 'SIGSTOP');
  publishNumbered(served.path, 500);
  process.kill(first, 'SIGKILL');
  publishNumbered(served.path, 5);
  assert.equal(await watcher.creates(510), await listed(path));
  assert.is.not(helperOf(served.pid), first);
  await hasSaid(served, /the daemon restarts the notifier: SIGKILL ended it/);
  await watcher.end();
  await owner.kill();
  await served.stop();
});

helper('is given up after repeated deaths, and the daemon goes on serving', async () => {
  const { served, owner, path, watcher } = await watchedDirectory();
  let last = 0;
  await until(
    () => {
      const now = helperOf(served.pid);
      if (now !== 0 && now !== last) {
        last = now;
        process.kill(now, 'SIGKILL');
      }
      return served.log().includes("can't run");
    },
    'the daemon did not give the notifier up',
    20_000,
  );
  publishNumbered(served.path, 10);
  assert.is(readdirSync(path).length, 10);
  await watcher.end();
  await owner.kill();
  assert.is(reach(path), 'ENOENT');
  assert.is(await served.stop(), 0);
});

helper('lets umount(8) remove the mount, idle and with notices under way', async () => {
  for (const count of [0, 2000]) {
    const { served, owner, watcher } = await watchedDirectory();
    publishNumbered(served.path, 1 + count);
    await watcher.creates(1);
    await watcher.end(); // umount(8) removes the watch, but the watcher may have the directory open
    const { code, err } = await run(['umount', served.path]);
    assert.is(code, 0, err);
    assert.is(await served.ended, 0);
    assert.not.ok(isMounted(served.path));
    await owner.kill();
    removeMountPoint(served.path);
  }
});

helper('touches nothing in the directory below the mount', async () => {
  const { served, owner, path, watcher } = await watchedDirectory();
  const pid = helperOf(served.pid);
  process.kill(pid, 'SIGSTOP');
  publishNumbered(served.path, 3);
  await owner.run(`cd ${path}`); // keeps the filesystem alive without its mount
  await run(['umount', '-l', served.path]);
  await run(['mkdir', path]); // the same name in the directory below the mount
  process.kill(pid, 'SIGCONT');
  await until(
    async () => (await owner.run('cat ../log/.status')).out.includes('\nUNTOLD=0\n'),
    'the notifier is busy',
  );
  assert.equal(readdirSync(path), []);
  assert.equal(watcher.created, []);
  await watcher.end();
  await owner.kill();
  assert.is(await served.ended, 0);
  await until(() => isDead(pid), 'the notifier lives');
  await run(['rmdir', path]);
  removeMountPoint(served.path);
});

helper('ends with eventfs umount and with SIGTERM', async () => {
  for (const end of ['umount', 'SIGTERM']) {
    const { served, owner, watcher } = await watchedDirectory();
    publishNumbered(served.path, 100);
    await watcher.creates(1);
    const pid = helperOf(served.pid);
    if (end === 'SIGTERM') assert.is(await served.stop(), 0);
    else {
      await run([...EVENTFS_NODE, 'umount', served.path]);
      assert.is(await served.ended, 0);
    }
    assert.ok(isDead(pid), end);
    await watcher.end();
    await owner.kill();
  }
});

helper.run();
