/**
 * inotify of delivered events: the notifier raises IN_CREATE (fs/tree/inotify/inotify-queue.ts).
 */
import * as assert from 'uvu/assert';
import {
  appendFileSync,
  closeSync,
  constants,
  linkSync,
  openSync,
  readdirSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventText, publish, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { Shell, mountPoint, removeMountPoint, run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { type How, Watcher, helperOf } from '../../support/clients/watcher.js';
import { compiled } from '../../support/clients/compiled.js';
import { skip } from '../../support/runner/suite.js';
import { batches, listed } from './common.js';

const watched = mounted('a watched directory');

watched('raises IN_CREATE for each delivered event, in order (inotifywait)', async () => {
  const path = await directory();
  const watcher = await Watcher.inotifywait(path, 'create');
  publishNumbered(daemon.path, 1000);
  const heard = await watcher.creates(1000);
  assert.equal(heard, await listed(path));
  await watcher.end();
});

watched('raises IN_CREATE for each of 1,000 events, however it is watched', async () => {
  for (const how of ['path', 'dot', 'fd', 'thread', 'fork'] as How[]) {
    const path = await directory();
    const watcher = await Watcher.on(path, how);
    publishNumbered(daemon.path, 1000);
    assert.equal(await watcher.creates(1000), await listed(path), how);
    await watcher.end();
    await shell.run(`rm -r ${path}`);
  }
});

watched('raises FAN_CREATE and the end of the directory for marks of fanotify, too', async () => {
  const owner = new Shell();
  const own = `${daemon.path}/${owner.pid}`;
  await owner.run(`mkdir ${own}`);
  for (const path of [own, `${daemon.path}/log`]) {
    const watcher = new Watcher([compiled('fanotify-watcher'), path]);
    const said = await watcher.says(/^(ready|refused.*)$/m);
    if (said[0] !== 'ready') skip(`${said[0]} (file ids need Linux 6.8)`);
    publishNumbered(daemon.path, 100);
    const newest = (await listed(path)).slice(-100);
    assert.equal(await watcher.creates(100), newest);
    if (path === own) {
      await owner.kill();
      await watcher.says(/^DELETE_SELF$/m);
    }
    await watcher.end();
  }
});

watched(
  'raises IN_CREATE if watched by another path: with slashes, with dots, through a bind mount',
  async () => {
    const path = await directory();
    const other = mountPoint();
    const bound = [
      'unshare',
      '-m',
      'sh',
      '-c',
      'mount --bind "$1" "$2"; shift 2; exec "$@"',
      'sh',
      path,
      other,
    ];
    const watchers = [
      await Watcher.on(`${path}/`),
      await Watcher.on(`${path}/.//.`),
      await Watcher.on(`${path}/../${basename(path)}`),
      await Watcher.on(other, 'path', [], bound),
    ];
    publishNumbered(daemon.path, 3);
    for (const watcher of watchers) {
      assert.equal(await watcher.creates(3), await listed(path));
      await watcher.end();
    }
    removeMountPoint(other);
  },
);

watched('raises IN_CREATE long after the watch was added, once for each watcher', async () => {
  const path = await directory();
  const watchers = await Promise.all(Array.from({ length: 5 }, () => Watcher.on(path)));
  for (let round = 1; round <= 3; round++) {
    publishNumbered(daemon.path, 100);
    for (const watcher of watchers) await watcher.creates(100 * round);
    await sleep(50); // separates batches from full looks
  }
  for (const watcher of watchers) {
    assert.equal(watcher.created, await listed(path));
    await watcher.end();
  }
});

watched('raises IN_CREATE although a child of the asking process listens', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path, 'fork');
  // Other processes ask and end.
  for (let n = 0; n < 5; n++) await shell.run(`ls ${path}`);
  publishNumbered(daemon.path, 2);
  await watcher.creates(2);
  publishNumbered(daemon.path, 2);
  assert.equal(await watcher.creates(4), await listed(path));
  await watcher.end();
});

watched('raises IN_CREATE once for each file that a user makes', async () => {
  const path = await directory();
  const from = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  const [event] = await listed(path);
  await watcher.creates(1);
  writeFileSync(`${path}/file`, 'x');
  linkSync(`${from}/${event}`, `${path}/link`);
  await shell.run(`mkfifo ${path}/fifo`);
  publishNumbered(daemon.path, 1);
  const heard = await watcher.creates(5);
  assert.equal(heard.slice(0, 4), [event, 'file', 'link', 'fifo']);
  assert.is(statusOf(path).NOTICES, '2');
  assert.is(watcher.created.length, 5);
  await watcher.end();
});

watched('raises IN_CREATE again after the watch was off', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path, 'twice');
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  watcher.tell('off');
  await watcher.says(/^off$/m);
  publishNumbered(daemon.path, 1);
  // Otherwise the notice might come after the watch.
  await until(() => statusOf(`${daemon.path}/log`).UNTOLD === '0', 'the notifier is busy');
  watcher.tell('on');
  await watcher.says(/^on$/m);
  publishNumbered(daemon.path, 1);
  const all = await listed(path);
  assert.equal(await watcher.creates(2), [all[0], all[2]]);
  await watcher.end();
});

watched('raises IN_CREATE only for events that pass the filter', async () => {
  const path = await directory();
  writeFileSync(`${path}/.filter`, 'SUBSYSTEM=mine');
  const watcher = await Watcher.on(path);
  publish(
    daemon.path,
    eventText('/a', { SUBSYSTEM: 'mine' }),
    eventText('/b', { SUBSYSTEM: 'other' }),
    eventText('/c', { SUBSYSTEM: 'mine' }),
  );
  assert.is((await watcher.creates(2)).length, 2);
  assert.equal(watcher.created, await listed(path));
  await watcher.end();
});

watched(
  'raises IN_CREATE although a symlink has the name, which the notifier does not follow',
  async () => {
    const path = await directory('0777');
    const outside = await directory('0700'); // it belongs to root, as the notifier does
    const last = statusOf(`${daemon.path}/log`);
    const next = (n: number): string => `${last.SEQNUM}.${Number(last.PUBLISHED) + n}`;
    const targets = [`${outside}/made`, outside, '/etc/passwd', next(4), '.stream'];
    const links = targets.map((target, n) => `ln -s ${target} ${path}/${next(n + 1)}`);
    assert.is((await run([...AS_NOBODY, 'sh', '-ec', links.join('; ')])).code, 0);
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, targets.length);
    assert.equal(
      await watcher.creates(targets.length),
      targets.map((_, n) => `${next(n + 1)}.1`),
    );
    assert.equal(
      readdirSync(outside).filter((name) => name === 'made'),
      [],
    );
    await watcher.end();
  },
);

watched(
  'raises IN_CREATE with the name that the event gets if a user has taken its own',
  async () => {
    const path = await directory();
    const last = statusOf(`${daemon.path}/log`);
    const next = `${last.SEQNUM}.${Number(last.PUBLISHED) + 1}`;
    writeFileSync(`${path}/${next}`, 'mine');
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, 1);
    assert.equal(await watcher.creates(1), [`${next}.1`]);
    await watcher.end();
  },
);

watched('named log raises IN_CREATE for every event', async () => {
  const watcher = await Watcher.on(`${daemon.path}/log`);
  publishNumbered(daemon.path, 10);
  assert.equal(await watcher.creates(10), (await listed(`${daemon.path}/log`)).slice(-10));
  await watcher.end();
});

watched('raises IN_CREATE for a later file although its events are taken first', async () => {
  const path = await directory();
  const reader = await shell.run(`exec 9< ${path}/.stream; cat <&9 > /dev/null & echo $!`);
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 500);
  await until(() => readdirSync(path).length === 0, 'the events were not taken');
  writeFileSync(`${path}/end`, '');
  await until(() => watcher.created.includes('end'), 'the watcher did not hear of the last file');
  await shell.run(`kill ${reader.out.trim()}; exec 9<&-`);
  await watcher.end();
});

watched('raises IN_CREATE for the other events if one is taken before its notice', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  const pid = helperOf(daemon.pid);
  const before = batches();
  process.kill(pid, 'SIGSTOP');
  const records = Buffer.from('add@/many\n\n'.repeat(6));
  const fd = openSync(`${daemon.path}/publish`, constants.O_WRONLY);
  const taken = writeSync(fd, records); // one write, so that one batch has all of them
  await until(() => batches() > before, 'the batch was not sent');
  const [, , second] = await listed(path);
  if (taken > records.length / 2) unlinkSync(`${path}/${second}`);
  process.kill(pid, 'SIGCONT');
  for (let from = taken; from < records.length;) from += writeSync(fd, records, from);
  closeSync(fd);
  const all = await listed(path);
  await watcher.creates(all.length);
  assert.equal(watcher.created, all);
  await watcher.end();
});

watched(
  'wakes libudev-compat, which then never sleeps while an event waits',
  async () => {
    const path = await directory();
    const count = 3000;
    const client = await Watcher.on(path, 'oneshot', [String(count)]);
    for (let sent = 0; sent < count;) {
      const some = 1 + ((sent * 7) % 13);
      publishNumbered(daemon.path, Math.min(some, count - sent));
      sent += some;
      if (sent % 5 === 0) await sleep(sent % 3);
    }
    const said = await client.says(/^(taken .*|slept .*|\w+: E.*)$/m);
    assert.is(said[0], `taken ${count}`);
    await client.end();
  },
  60_000,
);

watched.run();

const kernel = mounted('a watched directory of kernel events', ['--source', 'kernel']);

kernel('raises IN_CREATE for each uevent, in order', async () => {
  const path = await directory();
  writeFileSync(`${path}/.filter`, 'DEVNAME=full'); // other programs cause uevents too
  const watcher = await Watcher.inotifywait(path, 'create');
  for (let n = 0; n < 200; n++)
    appendFileSync('/sys/class/mem/full/uevent', n % 2 === 0 ? 'add' : 'change');
  await watcher.creates(200);
  await until(
    async () => watcher.created.length === (await listed(path)).length,
    'the watcher did not hear of all events',
    20_000,
  );
  assert.equal(watcher.created, await listed(path));
  await watcher.end();
});

kernel.run();
