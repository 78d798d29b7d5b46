/** The text that a stream returns: `stream`, `match/<filter>` and `.stream`, read in many ways. */
import * as assert from 'uvu/assert';
import { chmodSync, constants, readFileSync, readdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Calls,
  Reader,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { run, until, within } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { eachKind, numbers } from './common.js';

const stream = mounted('a stream');

stream('returns the events that come after the open, each followed by an empty line', async () => {
  publishNumbered(daemon.path, 3);
  const reader = await Reader.on(`${daemon.path}/stream`);
  publishNumbered(daemon.path, 2, 3);
  await reader.has(2);
  assert.is(
    reader.text,
    `${eventText('/devices/n', { N: 3 })}\n${eventText('/devices/n', { N: 4 })}\n`,
  );
  await reader.kill();
});

stream('returns every event to every reader', async () => {
  const readers = await Promise.all(numbers(5).map(() => Reader.on(`${daemon.path}/stream`)));
  publishNumbered(daemon.path, 500);
  for (const reader of readers) {
    assert.equal(valuesOf('N', await reader.has(500)), numbers(500));
    await reader.kill();
  }
});

stream('of match/ returns to each reader only the events that match its filter', async () => {
  const net = await Reader.on(`${daemon.path}/match/SUBSYSTEM=net`);
  const both = await Reader.on(`${daemon.path}/match/SUBSYSTEM==net|block,ACTION!=remove`);
  const odd = await Reader.on(`${daemon.path}/match/N==*[13579]; N==2`);
  const other = await Reader.on(`${daemon.path}/match/SUBSYSTEM == net`);
  for (const [n, [subsystem, action]] of [
    ['net', 'add'],
    ['block', 'add'],
    ['net', 'remove'],
    ['usb', 'add'],
    ['net', 'change'],
  ].entries()) {
    publish(daemon.path, eventText('/x', { SUBSYSTEM: subsystem, N: n }, action));
  }
  assert.equal(valuesOf('N', await net.has(3)), ['0', '2', '4']);
  assert.equal(valuesOf('N', await both.has(3)), ['0', '1', '4']);
  assert.equal(valuesOf('N', await odd.has(3)), ['1', '2', '3']);
  assert.equal(valuesOf('N', await other.has(3)), ['0', '2', '4']);
  for (const reader of [net, both, odd, other]) await reader.kill();
});

stream('of match/ can be opened only if its name is a filter: EINVAL, ENAMETOOLONG', async () => {
  for (const name of ['nonsense', 'A', 'A==', '==x', 'A=="x', 'A==b B==c', '\x01']) {
    const { err, code } = await run(['cat', `${daemon.path}/match/${name}`]);
    assert.is(code, 1);
    assert.match(err, 'Invalid argument', name);
  }
  const { err } = await run(['cat', `${daemon.path}/match/A==${'b'.repeat(253)}`]);
  assert.match(err, 'File name too long');
  assert.equal(readdirSync(`${daemon.path}/match`), []);
});

stream(
  'is refused to other users after a chmod; a file of match/ refuses chmod with EPERM',
  async () => {
    const path = `${daemon.path}/stream`;
    await (await Reader.on(path, [...AS_NOBODY, 'cat'])).kill();
    chmodSync(path, 0o440);
    assert.match((await run([...AS_NOBODY, 'cat', path])).err, 'Permission denied');
    chmodSync(path, 0o444);
    assert.throws(() => chmodSync(`${daemon.path}/match/A==b`, 0o400), /EPERM/);
  },
);

stream('named .stream unlinks each event that it returns from the queue', async () => {
  const own = await directory();
  publishNumbered(daemon.path, 3);
  const reader = await Reader.on(`${own}/.stream`);
  assert.equal(valuesOf('N', await reader.has(3)), numbers(3));
  assert.equal(readdirSync(own), []);
  await shell.run(`echo mine > ${own}/mine`);
  await until(() => reader.text.endsWith('mine\n\n'), 'the stream did not return the written file');
  assert.equal(readdirSync(own), []);
  await reader.kill();
});

stream('skips a file that a process still writes, and returns later events', async () => {
  const own = await directory();
  const calls = new Calls();
  await calls.open(1, `${own}/half`, constants.O_WRONLY | constants.O_CREAT);
  await calls.call('write', 1, 'first\n');
  const reader = await Reader.on(`${own}/.stream`);
  publishNumbered(daemon.path, 2);
  assert.equal(valuesOf('N', await reader.has(2)), numbers(2));
  assert.equal(readdirSync(own), ['half']);
  await calls.call('write', 1, 'second\n');
  await calls.call('close', 1);
  await reader.has(3);
  assert.ok(reader.text.endsWith('first\nsecond\n\n'));
  assert.equal(readdirSync(own), []);
  await calls.open(1, `${own}/read-only`, constants.O_RDONLY | constants.O_CREAT);
  await until(
    () => readdirSync(own).length === 0,
    'the file was left, although no process writes it',
  );
  await reader.kill();
  await calls.end();
});

stream('named .stream returns each event to one of its readers, and loses none', async () => {
  const own = await directory();
  const readers = await Promise.all(numbers(4).map(() => Reader.on(`${own}/.stream`)));
  for (let first = 0; first < 1000; first += 50) {
    publishNumbered(daemon.path, 50, first);
    await sleep(2);
  }
  await until(
    () => readers.reduce((sum, { records }) => sum + records.length, 0) >= 1000,
    'not all events came',
  );
  const shares = readers.map(({ records }) => valuesOf('N', records).map(Number));
  assert.equal(
    shares.flat().sort((a, b) => a - b),
    numbers(1000).map(Number),
  );
  for (const share of shares)
    assert.equal(
      share,
      [...share].sort((a, b) => a - b),
    );
  assert.ok(shares.filter((share) => share.length > 0).length > 1, 'one reader got all events');
  for (const reader of readers) await reader.kill();
});

stream('returns the whole text to readers that ask for one byte at a time', async () => {
  for await (const path of eachKind()) {
    const reader = await Reader.on(path, ['sh', '-c', 'exec < "$0"; exec dd bs=1 status=none']);
    publishNumbered(daemon.path, 50);
    assert.equal(valuesOf('N', await reader.has(50)), numbers(50));
    assert.is(
      reader.text.length,
      numbers(50).reduce((sum, n) => sum + eventText('/devices/n', { N: n }).length + 1, 0),
    );
    await reader.kill();
  }
});

stream('can be read line by line by bash, and by head', async () => {
  for await (const path of eachKind()) {
    const bash = await Reader.on(path, [
      'bash',
      '-c',
      'exec 3< "$0"; while IFS= read -r line <&3; do echo "$line"; done',
    ]);
    const head = await Reader.on(path, ['bash', '-c', 'exec < "$0"; exec head -n 2']);
    publishNumbered(daemon.path, path.endsWith('.stream') ? 2 : 1);
    await bash.has(1);
    assert.is(await within(20_000, head.ended, 'head did not end'), 0);
    assert.match(head.text, /^add@\/devices\/n\nACTION=add\n$/);
    await bash.kill();
  }
});

stream('can be read into a file by cat, cp and grep', async () => {
  const to = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'to-'));
  const commands = {
    cat: 'cat stream >',
    cp: 'cp stream',
    grep: 'grep --line-buffered ^N= stream >',
  };
  const readers: Reader[] = [];
  for (const [name, command] of Object.entries(commands)) {
    const reader = new Reader(`exec ${command} ${to}/${name}`, [
      'env',
      '-C',
      daemon.path,
      'bash',
      '-c',
    ]);
    await until(
      () => Number(statusOf(`${daemon.path}/log`).STREAMS) > readers.length,
      `${name} does not read`,
    );
    readers.push(reader);
  }
  publishNumbered(daemon.path, 3);
  for (const name of Object.keys(commands)) {
    await until(
      () => readFileSync(`${to}/${name}`, 'latin1').includes('N=2\n'),
      `${name} did not get the events`,
    );
  }
  for (const reader of readers) await reader.kill();
});

stream('can be read into several buffers at once (readv), as musl does', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path);
    for (const [first, second] of [
      [0, 1024],
      [10, 1024],
      [1, 1],
      [500, 500],
      [4096, 4096],
    ]) {
      publishNumbered(daemon.path, 1);
      const record = `${eventText('/devices/n', { N: 0 })}\n`;
      let text = '';
      while (text.length < record.length)
        text += (await calls.call('readv', 1, first, second)).bytes;
      assert.is(text, record);
    }
    await calls.end();
  }
});

stream(
  'never returns 0 to sendfile: busybox cat would take it for the end of the file',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      await calls.call('pipe', 2, 3);
      assert.ok((await calls.call('sendfile', 1, 3, 4096)).value !== 0, 'it has ended');
      publishNumbered(daemon.path, 1);
      assert.ok((await calls.call('sendfile', 1, 3, 4096)).value !== 0, 'it has ended');
      assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0\n\n');
      await calls.end();
    }
  },
);

stream('returns EAGAIN to a reader with O_NONBLOCK if there is no event', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    assert.is((await calls.call('read', 1, 100)).errno, 'EAGAIN');
    publishNumbered(daemon.path, 1);
    assert.match((await calls.call('read', 1, 100)).bytes, 'N=0\n\n');
    assert.is((await calls.call('read', 1, 100)).errno, 'EAGAIN');
    await calls.open(2, path);
    await calls.call('nonblock', 2, 1);
    assert.is((await calls.call('read', 2, 100)).errno, 'EAGAIN');
    await calls.end();
  }
});

stream('returns ESPIPE to lseek and pread', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    for (const whence of [0, 1, 2])
      assert.is((await calls.call('lseek', 1, 0, whence)).errno, 'ESPIPE');
    assert.is((await calls.call('pread', 1, 10, 0)).errno, 'ESPIPE');
    assert.is((await calls.call('read', 1, 0)).value, 0);
    await calls.end();
  }
});

stream.run();
