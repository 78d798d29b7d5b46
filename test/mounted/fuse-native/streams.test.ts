/** Streams and the promise on a mount of fuse-native. */
import * as assert from 'uvu/assert';
import { statSync } from 'node:fs';
import { Actor, reach } from '../../support/clients/actor.js';
import {
  Calls,
  Reader,
  eventText,
  publishNumbered,
  valuesOf,
} from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { readTwice } from '../../support/clients/long-reads.js';
import { run } from '../../support/mount/daemon.js';
import { daemon, directory, nothingIsOpen } from '../../support/mount/mounted.js';
import { fuseNative, observer, python, restartObserver, sh, untilWaiting } from './common.js';

/** The limit of fs/drivers/fuse-native/fuse-native.ts. */
const MOST_PARKED = 8;

const native = fuseNative();

native('returns events to blocked readers, and serves other processes meanwhile', async () => {
  const path = await directory();
  const readers = [
    await Reader.on(`${daemon.path}/stream`),
    await Reader.on(`${path}/.stream`),
    await Reader.on(`${daemon.path}/match/N=1`),
  ];
  await untilWaiting(path, 1);
  publishNumbered(daemon.path, 2);
  assert.equal(valuesOf('N', await readers[0].has(2)), ['0', '1']);
  assert.equal(valuesOf('N', await readers[1].has(2)), ['0', '1']);
  assert.equal(valuesOf('N', await readers[2].has(1)), ['1']);
  for (const reader of readers) await reader.kill();
  await nothingIsOpen();
});

/** Starts an actor that blocks in a read of `path`. The answer is an errno or `ok <bytes>`. */
async function blockedOn(path: string): Promise<{ actor: Actor; answer: Promise<string> }> {
  const actor = new Actor();
  const { answer } = await actor.block(`read ${await actor.get(`open ${path}`)}`, observer);
  return { actor, answer };
}

native('ends a read(2) that the kernel divides as soon as no event is left', async () => {
  for (const path of [`${daemon.path}/stream`, `${await directory()}/.stream`])
    await readTwice(path, 128 * 1024);
});

native('returns EAGAIN with O_NONBLOCK, and to a ninth reader that would block', async () => {
  const path = await directory();
  assert.is(await observer.ask(`read ${await observer.get(`opennb ${path}/.stream`)}`), 'EAGAIN');
  const waiting = await Promise.all(
    Array.from({ length: MOST_PARKED }, () => blockedOn(`${daemon.path}/stream`)),
  );
  assert.is(await observer.ask(`read ${await observer.get(`open ${path}/.stream`)}`), 'EAGAIN');
  assert.is(await sh(`echo hello > ${path}/event && cat ${path}/event`), 'hello\n');
  publishNumbered(daemon.path, 1);
  for (const { answer } of waiting)
    assert.is(await answer, `ok ${eventText('/devices/n', { N: 0 }).length + 1}`);
  for (const { actor } of waiting) await actor.kill();
  await restartObserver();
});

native(
  'lets a blocked reader be killed at once, and returns the next event to the other',
  async () => {
    const path = await directory();
    const [first, second] = [
      await blockedOn(`${path}/.stream`),
      await blockedOn(`${path}/.stream`),
    ];
    await untilWaiting(path, 2);
    await first.actor.kill();
    await untilWaiting(path, 1);
    await sh(`echo hello > ${path}/event`);
    assert.is(await second.answer, 'ok 7');
    await second.actor.kill();
  },
);

native("returns the text of each file once to io_uring's READ", async () => {
  const path = await directory();
  publishNumbered(daemon.path, 1);
  const calls = new Calls();
  if ((await calls.call('ring', 0)).errno !== '') return calls.end();
  for (const name of ['head', '.status', '.since']) {
    await calls.open(1, `${path}/${name}`);
    const text = (await calls.call('pread', 1, 65536, 0)).bytes;
    for (const [size, offset] of [
      [4096, 0],
      [4096, 3],
      [3, 0],
      [4096, text.length],
    ]) {
      await calls.call('ring_read', 0, 1, size, offset, 0);
      assert.is(
        (await calls.call('ring_wait', 0, 5000)).bytes,
        text.slice(offset, offset + size),
        `${name}: ${size} bytes at ${offset}`,
      );
    }
    await calls.call('close', 1);
  }
  await calls.end();
});

native('lets a signal interrupt a blocked read, and loses no event', async () => {
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/stream`);
  for (let round = 0; round < 10; round++) {
    await calls.call('alarm', 5 + round, 0);
    assert.is((await calls.call('read', 1, 4096)).errno, 'EINTR');
  }
  publishNumbered(daemon.path, 1);
  assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0');
  await calls.end();
});

native('lets rmdir end the blocked reads of the directory with EINTR', async () => {
  const path = await directory();
  const reader = await blockedOn(`${path}/.stream`);
  await sh(`rmdir ${path}`);
  assert.is(await reader.answer, 'EINTR');
  assert.is(reach(path), 'ENOENT');
  await reader.actor.kill();
});

native('shows streams with size 0: sendfile(2) returns 0, and read(2) the events', async () => {
  const path = await directory();
  assert.is(statSync(`${path}/.stream`).size, 0);
  await sh(`echo hello > ${path}/event`);
  assert.is(
    await python(
      'import os,sys; i=os.open(sys.argv[1],0); print(os.sendfile(os.memfd_create("x"),i,0,100), os.read(i,100))',
      `${path}/.stream`,
    ),
    String.raw`0 b'hello\n\n'`,
  );
});

native(
  'keeps the promise: seven operations fail after each of 300 deaths',
  async () => {
    const { out, err, code } = await run([compiled('deaths'), daemon.path, '300'], {
      timeoutMs: 100_000,
    });
    assert.is(code, 0, err);
    assert.match(out, /^rounds=300 accesses=2100 stale=0 .*stuck=0 wrong_errno=0 /);
  },
  110_000,
);

native(
  'ends a blocked read with ESTALE when the owner dies; a read below a living owner stays',
  async () => {
    const owner = await observer.get(`forkmkdir 0 ${daemon.path}/%`);
    const living = await directory();
    const [ends, stays] = [
      await blockedOn(`${daemon.path}/${owner}/.stream`),
      await blockedOn(`${living}/.stream`),
    ];
    const held = await observer.get(`open ${daemon.path}/${owner}/.status`);
    assert.is(await observer.ask(`signal ${owner} 9`), 'ok');
    assert.is(await observer.ask(`wait ${owner}`), 'ok');
    assert.is(await observer.ask(`read ${held}`), 'ESTALE');
    assert.is(await ends.answer, 'ESTALE');
    await sh(`echo hello > ${living}/event`);
    assert.is(await stays.answer, 'ok 7');
    for (const { actor } of [ends, stays]) await actor.kill();
    await restartObserver();
  },
);

native.run();
