/** poll(2), select(2) and epoll(7) of streams. */
import * as assert from 'uvu/assert';
import { constants } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Calls, eventText, publish, publishNumbered } from '../../support/clients/clients.js';
import { Shell, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted } from '../../support/mount/mounted.js';
import { drain, drainText, eachKind } from './common.js';

const EPOLLIN = 0x001;
const POLLIN = 0x001;
const POLLRDNORM = 0x040;
const EPOLLET = 0x80000000;

const polling = mounted('poll');

polling('reports a stream as readable from an event until all of it has been read', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    assert.equal(await poll(calls, 1, 0), 0);
    assert.equal(await poll(calls, 1, 20), 0);
    const waiting = calls.begin('poll', 5000, POLLIN, 1);
    await calls.sleeps(/poll/);
    publishNumbered(daemon.path, 2);
    assert.equal(Number((await waiting).rest[0]), POLLIN);
    assert.equal(await poll(calls, 1, 0), POLLIN);
    assert.equal(await poll(calls, 1, 0, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
    await calls.call('read', 1, 5);
    assert.equal(await poll(calls, 1, 0), POLLIN);
    await drainText(calls, 1);
    assert.equal(await poll(calls, 1, 0), 0);
    await calls.end();
  }
});

async function poll(calls: Calls, slot: number, ms: number, events = POLLIN): Promise<number> {
  return Number((await calls.call('poll', ms, events, slot)).rest[0]);
}

polling('wakes for an event that matches, and for no other', async () => {
  const calls = new Calls();
  await calls.open(
    1,
    `${daemon.path}/match/SUBSYSTEM==net`,
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  const waiting = calls.begin('poll', 5000, POLLIN, 1);
  await calls.sleeps(/poll/);
  publish(daemon.path, eventText('/x', { SUBSYSTEM: 'block' }));
  await sleep(50);
  publish(daemon.path, eventText('/y', { SUBSYSTEM: 'net' }));
  assert.is((await waiting).value, 1);
  assert.match((await calls.call('read', 1, 4096)).bytes, /^add@\/y/);
  await calls.end();
});

polling('wakes select and epoll for each stream that has events', async () => {
  const calls = new Calls();
  const paths = [
    `${daemon.path}/stream`,
    `${daemon.path}/match/DEVPATH==*`,
    `${await directory()}/.stream`,
    `${daemon.path}/match/N==never`,
  ];
  for (const [i, path] of paths.entries())
    await calls.open(i, path, constants.O_RDONLY | constants.O_NONBLOCK);
  await calls.call('epoll_create', 9);
  for (const i of paths.keys()) assert.is((await calls.call('epoll_add', 9, i, EPOLLIN)).errno, '');
  for (let round = 0; round < 3; round++) {
    const waiting =
      round % 2 === 0
        ? calls.begin('select', 5000, ...paths.keys())
        : calls.begin('epoll_wait', 9, 5000);
    await calls.sleeps(/poll|select/);
    publishNumbered(daemon.path, 1);
    assert.ok((await waiting).value > 0);
    assert.equal((await calls.call('select', 100, ...paths.keys())).rest, ['1', '1', '1', '0']);
    // select asks the daemon for each file; epoll learns of each by a wake-up of its own
    const ready = async (): Promise<string[]> =>
      [...(await calls.call('epoll_wait', 9, 100)).rest].sort();
    await until(async () => (await ready()).length === 3, 'a file does not wake epoll');
    assert.equal(await ready(), ['0:1', '1:1', '2:1']);
    for (const i of [0, 1, 2]) await drainText(calls, i);
    assert.is((await calls.call('epoll_wait', 9, 0)).value, 0);
  }
  await calls.end();
});

polling(
  'wakes an edge-triggered epoll for each event that comes after all have been read',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      await calls.call('epoll_create', 9);
      await calls.call('epoll_add', 9, 1, EPOLLIN + EPOLLET);
      for (let n = 0; n < 5; n++) {
        const waiting = calls.begin('epoll_wait', 9, 2000);
        await calls.sleeps(/poll/);
        publishNumbered(daemon.path, 1, n);
        assert.equal((await waiting).rest, ['1:1'], `event ${n} of ${basename(path)}`);
        assert.is((await drain(calls, 1)).length, 1);
      }
      await calls.end();
    }
  },
);

polling('reports an event file as always readable, and publish as always writable', async () => {
  const own = await directory();
  publishNumbered(daemon.path, 1);
  const calls = new Calls();
  await calls.open(1, `${own}/head`);
  await calls.open(2, `${daemon.path}/publish`, constants.O_WRONLY);
  assert.equal((await calls.call('poll', 0, 5, 1)).rest, ['5']);
  assert.equal((await calls.call('poll', 0, 5, 2)).rest, ['4']);
  await calls.end();
});

polling('wakes with POLLERR when the owner dies, and wakes when the daemon ends', async () => {
  const other = await startDaemon();
  const owner = new Shell();
  await owner.run(`mkdir ${other.path}/$$`);
  const calls = new Calls();
  await calls.open(
    1,
    `${other.path}/${owner.pid}/.stream`,
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  await calls.open(2, `${other.path}/stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  const death = calls.begin('poll', 5000, POLLIN, 1);
  await calls.sleeps(/poll/);
  await owner.kill();
  assert.is(Number((await death).rest[0]) & 8, 8);
  assert.is((await calls.call('read', 1, 10)).errno, 'ESTALE');
  const end = calls.begin('poll', 5000, POLLIN, 2);
  await calls.sleeps(/poll/);
  await other.stop();
  assert.ok(Number((await end).rest[0]) !== 0);
  await calls.end();
});

polling.run();
