/**
 * A user who holds the kernel's lock of a directory. Any user who may list a directory can do that
 * without end, and the notifier needs the lock to make a file there.
 */
import * as assert from 'uvu/assert';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { killClients, publishNumbered } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { Watcher, helperOf } from '../../support/clients/watcher.js';
import {
  type Daemon,
  hasSaid,
  killDaemons,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { stateOf } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';
import { killOwners, watchedDirectory } from './common.js';

const held = suite('a held lock');
/** Its files answer no reader while it is stopped. */
let slow: Daemon;
let file: string;

held.before(async () => {
  slow = await startDaemon();
  publishNumbered(slow.path, 1);
  const [name] = readdirSync(`${slow.path}/log`).filter((entry) => !entry.startsWith('.'));
  file = `${slow.path}/log/${name}`;
});
held.after(async () => {
  slow.process.kill('SIGCONT');
  killOwners();
  await killClients();
  await slow.stop();
  await killDaemons();
});

/**
 * Holds the lock of a directory as an unprivileged user.
 * @returns a function that releases it
 */
async function hold(path: string): Promise<() => Promise<void>> {
  const holder = new Watcher([...AS_NOBODY, compiled('holds-lock'), path, file]);
  await holder.says(/^ready$/m);
  slow.process.kill('SIGSTOP');
  await until(() => stateOf(slow.pid) === 'T', 'the slow daemon does not stop');
  holder.tell('');
  await until(() => stateOf(holder.process.pid!) === 'D', 'the holder does not hold the lock');
  return async () => {
    slow.process.kill('SIGCONT');
    await holder.end();
  };
}

for (const name of ['a directory', 'log/'])
  held(
    `delays the notices of ${name} only, and these come when it is released`,
    async () => {
      const { served, owner, watcher } = await watchedDirectory();
      const path = name === 'log/' ? `${served.path}/log` : `${served.path}/${owner.pid}.other`;
      if (name !== 'log/') await owner.run(`mkdir ${path}`);
      const late = await Watcher.on(path);
      publishNumbered(served.path, 1);
      await watcher.creates(1);
      await late.creates(1);
      const notifier = helperOf(served.pid);
      const release = await hold(path);
      try {
        publishNumbered(served.path, 5);
        await watcher.creates(6);
        await hasSaid(served, /a process holds the lock of a directory of user 0/);
        publishNumbered(served.path, 5);
        await watcher.creates(11);
        assert.is(late.created.length, 1);
        assert.is(stateOf(notifier), 'D');
      } finally {
        await release();
      }
      await late.creates(11);
      await watcher.end();
      await late.end();
      await owner.kill();
      assert.is(await served.stop(), 0);
    },
    60_000,
  );

held('does not keep the daemon from its end', async () => {
  const { served, owner, watcher } = await watchedDirectory();
  publishNumbered(served.path, 1);
  await watcher.creates(1);
  const release = await hold(served.path);
  try {
    const notifier = helperOf(served.pid);
    await owner.kill();
    await until(() => stateOf(notifier) === 'D', 'the notifier does not wait for the lock');
    // Not `stop`, which waits for the end of the notifier's standard error too
    const exit = once(served.process, 'exit');
    served.process.kill('SIGTERM');
    assert.equal(await within(10_000, exit, 'the daemon did not end'), [0, null]);
  } finally {
    await release();
  }
  await watcher.end();
});

held.run();
