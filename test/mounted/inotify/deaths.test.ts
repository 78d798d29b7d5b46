/** inotify of dead owners' directories: the notifier raises IN_DELETE_SELF and IN_DELETE. */
import * as assert from 'uvu/assert';
import { readdirSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { reach } from '../../support/clients/actor.js';
import { publishNumbered, spawnClient, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { Shell, run, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { Watcher, helperOf } from '../../support/clients/watcher.js';

const dead = mounted("a dead owner's directory");

async function ownDirectory(): Promise<{ owner: Shell; path: string }> {
  const owner = new Shell();
  const path = `${daemon.path}/${owner.pid}`;
  assert.is((await owner.run(`mkdir ${path}; echo x > ${path}/e; cat ${path}/e`)).code, 0);
  return { owner, path };
}

dead(
  'vanishes at once; then its watcher gets DELETE_SELF, and that of the root DELETE',
  async () => {
    const { owner, path } = await ownDirectory();
    const own = await Watcher.on(path);
    const root = await Watcher.inotifywait(daemon.path, 'delete');
    // While the notifier is stopped there are no notices, and lookups fail already.
    process.kill(helperOf(daemon.pid), 'SIGSTOP');
    await owner.kill();
    for (const each of [path, `${path}/e`, `${path}/.stream`]) assert.is(reach(each), 'ENOENT');
    assert.equal(own.heard('DELETE_SELF'), []);
    process.kill(helperOf(daemon.pid), 'SIGCONT');
    await own.says(/^DELETE_SELF\nIGNORED$/m);
    await root.says(new RegExp(`^DELETE,ISDIR ${basename(path)}$`, 'm'));
    assert.is(reach(path), 'ENOENT');
    await own.end();
    await root.end();
  },
);

dead('raises DELETE_SELF to inotifywait', async () => {
  const { owner, path } = await ownDirectory();
  const own = await Watcher.inotifywait(path, 'delete_self');
  await owner.kill();
  await own.says(/^DELETE_SELF/m);
  await own.end();
});

dead(
  'raises DELETE_SELF although its name is taken again, and not for the new directory',
  async () => {
    const first = new Shell();
    const second = new Shell();
    const path = `${daemon.path}/name-of-many`;
    const helper = helperOf(daemon.pid);
    // The shell becomes a Python that calls mkdir(2) and lives on as the owner.
    const make = `exec python3 -c 'import os, time; os.mkdir("${path}"); print("made", flush=True); time.sleep(60)'`;
    const makes = (owner: Shell): void => void owner.process.stdin!.write(`${make}\n`);
    makes(first);
    await until(() => reach(path) === 'ok', 'the directory was not made');
    const { ino } = statSync(path);
    const own = await Watcher.on(path);
    const root = await Watcher.on(daemon.path);
    process.kill(helper, 'SIGSTOP');
    await first.kill();
    makes(second);
    await until(() => reach(path) === 'ok', 'the directory was not made again');
    assert.is.not(statSync(path).ino, ino);
    const next = await Watcher.on(path);
    process.kill(helper, 'SIGCONT');
    await own.says(/^DELETE_SELF\nIGNORED$/m);
    assert.equal(next.heard('DELETE_SELF', 'IGNORED'), []);
    assert.not.ok(root.heard('DELETE').includes(`DELETE ${basename(path)}`));
    publishNumbered(daemon.path, 1);
    await next.creates(1);
    await second.kill();
    await next.says(/^DELETE_SELF\nIGNORED$/m);
    await until(
      () => root.heard('DELETE').includes(`DELETE ${basename(path)}`),
      'the watcher did not hear of the second death',
    );
    for (const watcher of [own, root, next]) await watcher.end();
  },
);

dead('raises DELETE_SELF when its sticky attribute is removed', async () => {
  const { owner, path } = await ownDirectory();
  await run(['setfattr', '-n', 'user.eventfs_sticky', path]);
  const own = await Watcher.on(path);
  await owner.kill();
  assert.is(reach(path), 'ok');
  publishNumbered(daemon.path, 1);
  await own.creates(1);
  await run(['setfattr', '-x', 'user.eventfs_sticky', path]);
  await own.says(/^DELETE_SELF\nIGNORED$/m);
  assert.is(reach(path), 'ENOENT');
  await own.end();
});

dead(
  'leaves no node, ghost or memory after 1,000 deaths at once',
  async () => {
    const { NODES, WATCHED, MEMORY } = statusOf(`${daemon.path}/log`);
    const spawner = spawnClient(
      [compiled('spawn-owners'), daemon.path, '1000'],
      ['pipe', 'pipe', 'inherit'],
    );
    let said = '';
    spawner.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.startsWith('ready'), 'not all owners have started', 40_000);
    await run(['ls', '-l', daemon.path]); // now the kernel knows all directories
    const root = await Watcher.on(daemon.path);
    spawner.stdin!.end();
    await until(() => said.endsWith('gone\n'), 'not all owners have ended', 40_000);
    const { DIRECTORIES } = statusOf(`${daemon.path}/log`);
    assert.ok(Number(DIRECTORIES) < 1000);
    await until(
      () => root.heard('DELETE').length === 1000,
      'the watcher did not hear of all deaths',
      40_000,
    );
    await until(
      () => {
        const now = statusOf(`${daemon.path}/log`);
        return (
          now.GHOSTS === '0' &&
          Number(now.MEMORY) <= Number(MEMORY) + 100_000 && // a ghost is charged 4 KiB
          Number(now.NODES) <= Number(NODES) + 2 &&
          Number(now.WATCHED) <= Number(WATCHED) + 1
        );
      },
      'nodes, ghosts or memory are left',
      20_000,
    );
    await root.end();
  },
  120_000,
);

dead('leaves no name in the root if its events still wait for notices', async () => {
  const { owner, path } = await ownDirectory();
  const own = await Watcher.on(path);
  publishNumbered(daemon.path, 300);
  await owner.kill();
  await own.says(/^DELETE_SELF\nIGNORED$/m);
  publishNumbered(daemon.path, 10);
  await own.end();
  assert.not.ok(readdirSync(daemon.path).some((name) => name.startsWith('.ended')));
});

dead.run();
