/** Directories without a watcher, which cost no notices. */
import * as assert from 'uvu/assert';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { publishNumbered, statusOf } from '../../support/clients/clients.js';
import { mountPoint, removeMountPoint, run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { Watcher } from '../../support/clients/watcher.js';
import { batches } from './common.js';

const unwatched = mounted('a directory without a watcher');

unwatched(
  'costs no notice for a watch on another filesystem with the same inode number',
  async () => {
    const path = await directory();
    const { ino } = statSync(path);
    const other = mountPoint();
    assert.is((await run(['mount', '-t', 'tmpfs', 'none', other])).code, 0);
    try {
      // A tmpfs numbers its inodes from 1.
      let at = other;
      for (let n = 0; statSync(at).ino < ino; n++) mkdirSync((at = `${other}/${n}`));
      assert.is(statSync(at).ino, ino);
      // The watching process has asked for the directory of the mount, so that the notifier looks
      // at it.
      const watcher = await Watcher.on(
        at,
        'path',
        [],
        ['sh', '-c', 'test -x "$0" && exec "$@"', path],
      );
      let before = -1;
      await until(
        async () => {
          publishNumbered(daemon.path, 5);
          await sleep(100);
          const told = Number(statusOf(path).NOTICES);
          const isQuiet = told === before;
          before = told;
          return isQuiet;
        },
        'notices were raised all the time',
        20_000,
      );
      await watcher.end();
      await shell.run(`rm -r ${path}`); // it would cause messages in the next tests
    } finally {
      await run(['umount', '-l', other]);
      removeMountPoint(other);
    }
  },
);

unwatched('costs a message at most, and no notice, if no process has asked since', async () => {
  const path = await directory();
  const before = batches();
  // The shell's requests are for `publish` only, and come in 300 runs.
  await shell.run(`for i in {1..300}; do echo 'change@/x' > ${daemon.path}/publish; done`, 20_000);
  const after = batches();
  assert.ok(after - before <= 6, `${after - before} messages`); // this process has asked for log/
  assert.is(statusOf(path).NOTICES, '0');
  assert.is(statusOf(path).PENDING, '300');
});

unwatched('costs no notice although other processes ask all the time', async () => {
  const path = await directory();
  let before = -1;
  // At first the notifier looks at all processes, because the one that made the directory has
  // ended.
  await until(
    () => {
      const told = Number(statusOf(path).NOTICES);
      const isQuiet = told === before;
      before = told;
      for (let n = 0; n < 20; n++) {
        readdirSync(path);
        statSync(`${path}/.status`);
        publishNumbered(daemon.path, 10);
      }
      return isQuiet;
    },
    'notices were raised all the time',
    25_000,
  );
});

unwatched('costs no notice once its watcher has ended', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 5);
  await watcher.creates(5);
  await watcher.end();
  const told = (): string => statusOf(path).NOTICES;
  await until(
    async () => {
      const before = told();
      publishNumbered(daemon.path, 1); // its notice shows that the watcher has ended
      await sleep(100);
      return told() === before;
    },
    'notices went on',
    20_000,
  );
  await shell.run(`for i in {1..100}; do echo 'change@/x' > ${daemon.path}/publish; done`, 20_000);
  assert.ok(Number(told()) < 50, `${told()} notices`);
});

unwatched.run();
