/**
 * rmdir(2) by the owner ends its directory, whatever the directory holds; by others it does not.
 */
import * as assert from 'uvu/assert';
import { basename } from 'node:path';
import { isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';
import { Actor, reach, untilAlone } from '../../support/clients/actor.js';
import { publishNumbered } from '../../support/clients/clients.js';
import { Watcher } from '../../support/clients/watcher.js';
import { type Daemon, Shell, killDaemons, startDaemon, until } from '../../support/mount/daemon.js';
import { withRing } from '../../support/mount/transport.js';
import { stateOf } from '../../support/processes.js';
import { skip, suite } from '../../support/runner/suite.js';
import { AS_SECOND, IN_PID_NAMESPACE } from './common.js';

const rmdir = suite('rmdir by the owner');
let observer: Actor;
rmdir.before(() => {
  observer = new Actor();
});
rmdir.after(async () => {
  await Actor.endAll();
  await killDaemons();
  await untilAlone();
});

/** The ways to the kernel, by the options that choose them. */
const WAYS = {
  'read(2)': ['--transport', 'read'],
  'io-uring': ['--transport', 'io-uring'],
  'fuse-native': ['--driver', 'fuse-native'],
} as const;

async function started(way: keyof typeof WAYS): Promise<Daemon> {
  if (way === 'io-uring' && isRingOffered() === undefined) skip('no FUSE over io_uring');
  return withRing(() => startDaemon(['--source', 'none', ...WAYS[way]]));
}

/** An owner with a directory that holds events, a symlink and a socket. */
async function filled(daemon: Daemon, under: readonly string[] = []): Promise<[Actor, string]> {
  const owner = new Actor(under);
  const path = `${daemon.path}/${await owner.get('pid')}`;
  assert.is(await owner.ask(`mkdir ${path}`), 'ok');
  publishNumbered(daemon.path, 3);
  assert.is(await owner.ask(`symlink x ${path}/link`), 'ok');
  return [owner, path];
}

for (const way of ['read(2)', 'io-uring', 'fuse-native'] as const) {
  const isNative = way === 'fuse-native';

  rmdir(`ends a directory that holds events and special files, with ${way}`, async () => {
    const daemon = await started(way);
    const [owner, path] = await filled(daemon);
    const opened = await observer.get(`open ${path}/head`);
    const folder = await observer.get(`opendir ${path}`);
    assert.is(await observer.ask(`rmdir ${path}`), 'ENOTEMPTY');
    assert.is(await owner.ask(`rmdir ${path}`), 'ok');
    for (const name of ['', '/head', '/link', '/.stream', '/.status'])
      assert.is(reach(`${path}${name}`), 'ENOENT');
    // libfuse makes a path of each handle.
    assert.is(await observer.ask(`pread ${opened}`), isNative ? 'ENOENT' : 'ESTALE');
    // The kernel answers for a removed directory that it knows.
    assert.is(await observer.ask(`getdents ${folder}`), 'ENOENT');
    for (const fd of [opened, folder]) await observer.ask(`close ${fd}`);
    assert.is(await owner.ask(`mkdir ${path}`), 'ok');
    assert.is(await observer.ask(`rmdir ${path}`), 'ok');
    await owner.kill();
    await daemon.stop();
  });

  rmdir(`ends parked reads, with ${way}`, async () => {
    const daemon = await started(way);
    const [owner, path] = await filled(daemon);
    const reader = new Actor();
    const stream = await reader.get(`open ${path}/.stream`);
    await reader.ask(`read ${stream}`);
    const { answer } = await reader.block(`read ${stream}`, observer);
    const writer = new Shell();
    assert.is((await writer.run(`exec 9>${path}/unfinished`)).out, '');
    assert.is(await observer.ask(`rmdir ${path}`), 'ENOTEMPTY');
    assert.is(await owner.ask(`rmdir ${path}`), 'ok');
    assert.is(await answer, isNative ? 'EINTR' : 'ESTALE');
    assert.is(await reader.ask(`read ${stream}`), isNative ? 'ENOENT' : 'ESTALE');
    await Promise.all([owner.kill(), reader.kill(), writer.kill()]);
    await daemon.stop();
  });

  rmdir(`is one by any of its threads, also after the first has ended, with ${way}`, async () => {
    const daemon = await started(way);
    for (const become of ['thread', 'abandon']) {
      const [owner, path] = await filled(daemon);
      assert.is.not(await owner.get(become), owner.pid);
      if (become === 'abandon') assert.is(stateOf(owner.pid), 'Z');
      assert.is(await owner.ask(`rmdir ${path}`), 'ok');
      assert.is(reach(path), 'ENOENT');
      await owner.kill();
    }
    await daemon.stop();
  });
}

rmdir('tells the watchers of the directory and of the root', async () => {
  const daemon = await startDaemon();
  const [owner, path] = await filled(daemon);
  const own = await Watcher.on(path);
  const root = await Watcher.inotifywait(daemon.path, 'delete');
  assert.is(await owner.ask(`rmdir ${path}`), 'ok');
  await own.says(/^DELETE_SELF\nIGNORED$/m);
  await root.says(new RegExp(`^DELETE,ISDIR ${basename(path)}$`, 'm'));
  assert.is(own.heard('DELETE_SELF').length, 1);
  assert.is(root.heard('DELETE').length, 1);
  await Promise.all([own.end(), root.end(), owner.kill()]);
  await daemon.stop();
});

rmdir('works for an owner in another PID namespace, and not for its child', async () => {
  const daemon = await startDaemon();
  const [owner, path] = await filled(daemon, [...IN_PID_NAMESPACE, ...AS_SECOND]);
  const shell = new Shell();
  const { out } = await shell.run(`mkdir ${daemon.path}/$$`);
  assert.is(out, '');
  publishNumbered(daemon.path, 1);
  assert.match((await shell.run(`rmdir ${daemon.path}/$$`)).out, 'Directory not empty');
  assert.is(await owner.ask(`rmdir ${path}`), 'ok');
  shell.process.stdin!.write(`exec rmdir ${daemon.path}/$$\n`);
  await until(() => shell.process.exitCode === 0, 'rmdir failed as the owner itself');
  await owner.kill();
  await daemon.stop();
});

rmdir('does not end a sticky directory that holds events: it has no owner', async () => {
  const daemon = await startDaemon();
  const shell = new Shell();
  const path = `${daemon.path}/${shell.pid}`;
  const set = `setfattr -n user.eventfs_sticky -v 1 ${path}`;
  assert.is((await shell.run(`mkdir ${path} && ${set}`)).code, 0);
  publishNumbered(daemon.path, 1);
  shell.process.stdin!.write(`exec rmdir ${path}\n`);
  await until(() => shell.process.exitCode === 1, 'rmdir did not fail');
  assert.is(reach(path), 'ok');
  await daemon.stop();
});

rmdir.run();
