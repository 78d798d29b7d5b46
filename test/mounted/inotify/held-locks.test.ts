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
import { sideBySide, suite } from '../../support/runner/suite.js';
import { killOwners, watchedDirectory } from './common.js';

const held = suite('a held lock');
/** The daemons whose files answer no reader while they are stopped. */
const slow: Daemon[] = [];

held.after(async () => {
  for (const { process } of slow) process.kill('SIGCONT');
  killOwners();
  await killClients();
  for (const daemon of slow) await daemon.stop();
  await killDaemons();
});

/**
 * Holds the lock of a directory as an unprivileged user.
 * @returns a function that releases it
 */
async function hold(path: string): Promise<() => Promise<void>> {
  const daemon = await startDaemon();
  slow.push(daemon);
  publishNumbered(daemon.path, 1);
  const [name] = readdirSync(`${daemon.path}/log`).filter((entry) => !entry.startsWith('.'));
  const file = `${daemon.path}/log/${name}`;
  const holder = new Watcher([...AS_NOBODY, compiled('holds-lock'), path, file]);
  await holder.says(/^ready$/m);
  daemon.process.kill('SIGSTOP');
  await until(() => stateOf(daemon.pid) === 'T', 'the slow daemon does not stop');
  holder.tell('');
  await until(() => stateOf(holder.process.pid!) === 'D', 'the holder does not hold the lock');
  return async () => {
    daemon.process.kill('SIGCONT');
    await holder.end();
  };
}

/** Each waits for the time after which the daemon leaves a notifier behind. */
const waiting = sideBySide(held, 3);

for (const name of ['a directory', 'log/'])
  waiting(
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

waiting('does not keep the daemon from its end', async () => {
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
