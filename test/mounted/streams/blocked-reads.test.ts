/** Blocked reads of streams: signals, many readers, their end, and what is left of them. */
import * as assert from 'uvu/assert';
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
} from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Calls,
  Reader,
  Storm,
  eventText,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { publishBytes, readTwice } from '../../support/clients/long-reads.js';
import { Shell, startDaemon, until, within } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, nothingIsOpen, shell } from '../../support/mount/mounted.js';
import { waitsForReply } from '../../support/processes.js';
import { eachKind, numbers } from './common.js';

/** The most bytes of one READ (fs/fuse/sizes.ts). */
const MAX_READ_BYTES = 256 * 4096;

const stream = mounted('a stream');

stream('lets a signal interrupt a blocked read, and loses no event', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path);
    for (let round = 0; round < 20; round++) {
      await calls.call('alarm', 1 + (round % 5), 0);
      assert.is((await calls.call('read', 1, 4096)).errno, 'EINTR');
    }
    publishNumbered(daemon.path, 2);
    assert.match((await calls.call('read', 1, 4096)).bytes, /N=0\n\n[^]*N=1\n\n/);
    await calls.end();
  }
});

stream(
  'frees the slot of each blocked read, whether an event or a signal ends it',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path);
      for (let n = 0; n < 200; n++) {
        const isInterrupted = n % 4 === 0;
        if (isInterrupted) await calls.call('alarm', 1, 0);
        const read = calls.begin('read', 1, 4096);
        if (!isInterrupted) {
          await calls.sleeps();
          publishNumbered(daemon.path, 1, n);
        }
        assert.is(
          (await within(20_000, read, 'the read did not end')).errno,
          isInterrupted ? 'EINTR' : '',
        );
      }
      assert.is(statusOf(`${daemon.path}/log`).PARKED, '0', basename(path));
      await calls.end();
    }
  },
  60_000,
);

stream('loses no event that comes together with a signal', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path);
    let text = '';
    for (let n = 0; n < 200; n++) {
      await calls.call('alarm', 1, 0);
      const read = calls.begin('read', 1, 4096);
      await sleep(n % 2);
      publishNumbered(daemon.path, 1, n);
      text += (await within(20_000, read, 'the read did not end')).bytes;
    }
    await calls.call('nonblock', 1, 1);
    text += (await calls.call('read', 1, 65536)).bytes;
    assert.equal(valuesOf('N', text.split('\n\n').slice(0, -1)), numbers(200));
    await calls.end();
  }
});

stream('lets Ctrl-C, SIGTERM and SIGKILL end cat within 0.5 s', async () => {
  for await (const path of eachKind()) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const reader = await Reader.on(path);
      await until(() => waitsForReply(reader.process.pid!), 'cat does not wait');
      const before = Date.now();
      reader.process.kill(signal);
      assert.is(await within(20_000, reader.ended, `cat did not end by ${signal}`), signal);
      assert.ok(Date.now() - before < 500);
    }
  }
  await nothingIsOpen();
});

stream('continues after Ctrl-Z and fg', async () => {
  for await (const path of eachKind()) {
    const reader = await Reader.on(path);
    publishNumbered(daemon.path, 1);
    await reader.has(1);
    for (let round = 1; round < 5; round++) {
      reader.process.kill('SIGSTOP');
      publishNumbered(daemon.path, 1, round);
      reader.process.kill('SIGCONT');
      assert.equal(valuesOf('N', await reader.has(round + 1)), numbers(round + 1));
    }
    assert.is(reader.err, '');
    await reader.kill();
  }
});

stream(
  'returns each event once to the duplicates of its descriptor and to the threads that read it',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      await calls.call('dup', 1, 2);
      publishNumbered(daemon.path, 1);
      assert.match((await calls.call('read', 2, 4096)).bytes, 'N=0');
      assert.is((await calls.call('read', 1, 4096)).errno, 'EAGAIN');
      await calls.call('nonblock', 1, 0);
      const length = numbers(500).reduce(
        (sum, n) => sum + eventText('/devices/n', { N: n }).length + 1,
        0,
      );
      const threads = calls.begin('threads', 1, 4, length);
      for (let first = 0; first < 500; first += 20) {
        publishNumbered(daemon.path, 20, first);
        await sleep(2);
      }
      const { bytes } = await within(10_000, threads, 'the threads did not get all events');
      assert.equal(
        valuesOf('N', bytes.split('\n\n').slice(0, -1))
          .map(Number)
          .sort((a, b) => a - b),
        numbers(500).map(Number),
      );
      await calls.end();
    }
  },
);

stream('is served within a second while 40 threads read another stream', async () => {
  for await (const path of eachKind()) {
    const threads = new Calls();
    await threads.open(1, path);
    void threads.begin('threads', 1, 40, 1e9);
    await until(
      () => readdirSync(`/proc/${threads.pid}/task`).length === 41,
      'not all threads run',
    );
    await sleep(100);
    const reader = await Reader.on(
      path.endsWith('.stream') ? `${await directory()}/.stream` : path,
    );
    for (let n = 0; n < 10; n++) {
      publishNumbered(daemon.path, 1, n);
      await reader.has(n + 1, 1000);
    }
    assert.equal(valuesOf('N', reader.records), numbers(10));
    await reader.kill();
    await threads.end();
  }
});

stream('can be open 500 times at once', async () => {
  const fds = numbers(500).map((n) =>
    openSync(
      `${daemon.path}/${Number(n) % 2 === 0 ? 'stream' : `match/N!=${n}`}`,
      constants.O_RDONLY | constants.O_NONBLOCK,
    ),
  );
  assert.is(statusOf(`${daemon.path}/log`).STREAMS, '500');
  publishNumbered(daemon.path, 20);
  const buffer = Buffer.alloc(65536);
  for (const [i, fd] of fds.entries()) {
    const records = buffer.toString('latin1', 0, readSync(fd, buffer)).split('\n\n').slice(0, -1);
    assert.equal(
      valuesOf('N', records),
      numbers(20).filter((n) => i % 2 === 0 || n !== String(i)),
    );
    closeSync(fd);
  }
  await nothingIsOpen();
});

stream('ends a read(2) that the kernel divides as soon as no event is left', async () => {
  for await (const path of eachKind()) await readTwice(path, MAX_READ_BYTES);
});

stream('answers a blocked read(2) that the kernel will divide, without its last byte', async () => {
  publishNumbered(daemon.path, 1);
  const before = readlinkSync(`${daemon.path}/log/tail`);
  publishBytes(MAX_READ_BYTES);
  const own = await directory();
  await shell.run(`timeout 10 dd if=${own}/.stream bs=2M count=1 status=none | wc -c > read &`);
  await until(() => statusOf(own).WAITING === '1', 'the reader does not wait');
  await shell.run(`echo ${before} > ${own}/.since; wait`);
  assert.ok(Number(readFileSync('read', 'latin1')) > MAX_READ_BYTES / 2);
});

stream('returns the end of the file when the daemon ends', async () => {
  const other = await startDaemon();
  const readers = [
    await Reader.on(`${other.path}/stream`),
    await Reader.on(`${other.path}/match/A==b`),
  ];
  const owner = new Shell();
  await owner.run(`mkdir ${other.path}/$$`);
  readers.push(await Reader.on(`${other.path}/${owner.pid}/.stream`));
  for (const reader of readers) {
    await until(() => waitsForReply(reader.process.pid!), `${reader.path} does not wait`);
  }
  assert.is(await other.stop(), 0);
  for (const reader of readers)
    assert.is(await within(20_000, reader.ended, `${reader.path} did not end`), 0, reader.err);
  await owner.kill();
});

stream('keeps no handle, waiter or slot of readers that are killed while events flow', async () => {
  const own = await directory();
  const paths = [`${daemon.path}/stream`, `${daemon.path}/match/SUBSYSTEM==net`, `${own}/.stream`];
  const storm = new Storm(daemon.path);
  for (let round = 0; round < 10; round++) {
    const readers = await Promise.all(numbers(20).map((n) => Reader.on(paths[Number(n) % 3])));
    await Promise.all(readers.map((reader) => reader.kill(round % 2 === 0 ? 'SIGKILL' : 'SIGINT')));
  }
  storm.end();
  await until(
    () => statusOf(own).WAITING === '0' && statusOf(own).STREAMS === '0',
    'the daemon still counts a waiter or a stream',
  );
  await nothingIsOpen();
});

stream.run();
