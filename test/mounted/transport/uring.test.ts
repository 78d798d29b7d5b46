/**
 * READs by io_uring(7) and libaio of each kind of file, with either transport: a READ returns the
 * same as read(2), it waits without delaying other processes, and its process can be killed
 * (fs/tree/uring-reads.ts).
 */
import * as assert from 'uvu/assert';
import { constants, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Calls,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { run, until, within } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { figure } from '../../support/runner/output.js';
import { type Suite, skip, suite } from '../../support/runner/suite.js';
import { missingRing } from '../../support/mount/transport.js';
import { ConcurrentReaders } from './concurrent-readers.js';

/** IORING_SETUP_ flags. */
const SQPOLL = 1 << 1;
const COOP_TASKRUN = 1 << 8;
const DEFER_TASKRUN = (1 << 13) | (1 << 12); // with SINGLE_ISSUER
const SETUPS = {
  'a ring': 0,
  'a ring that the kernel polls': SQPOLL,
  'cooperative task work': COOP_TASKRUN,
  'deferred task work': DEFER_TASKRUN,
};
/** IOSQE_ASYNC: a worker of the kernel executes the READ. */
const ASYNC = 1 << 4;
const SIZE = 4096;
const WAIT_MS = 5000;
/** The time that the test waits for a READ that must not end. */
const LONG_MS = 100;
const POLLIN = 1;

const EVENT = eventText('/devices/x', { SUBSYSTEM: 'mine' });
const RECORD = `${EVENT}\n`;

/** @returns true if the kernel lacks io_uring, or forbids it */
async function lacksUring(): Promise<boolean> {
  const calls = new Calls();
  const { errno } = await calls.call('ring', 0);
  await calls.end();
  return errno !== '';
}

/** The kinds of READ. Each reads slot 1, up to `size` bytes at `offset`. */
const READS: Readonly<
  Record<string, (calls: Calls, size: number, offset: number) => Promise<unknown>>
> = {
  READ: (calls, size, offset) => calls.call('ring_read', 0, 1, size, offset, 0),
  'READ by a worker': (calls, size, offset) => calls.call('ring_read', 0, 1, size, offset, ASYNC),
  'READV of four parts': (calls, size, offset) =>
    calls.call('ring_readv', 0, 1, Math.ceil(size / 4), offset, 4),
  READ_FIXED: (calls, size, offset) => calls.call('ring_fixed', 0, 1, size, offset),
};

/** @returns the bytes that a READ has got, or the errno's name */
async function result(calls: Calls, tag = 0, ms = WAIT_MS): Promise<string> {
  const { errno, bytes } = await calls.call('ring_wait', tag, ms);
  return errno === '' ? bytes : errno;
}

/**
 * Makes a directory. @returns the paths of files that have an end, most of them in the directory
 */
async function files(): Promise<string[]> {
  const own = await directory();
  publish(daemon.path, EVENT);
  const [event] = readdirSync(own);
  await shell.run(
    `echo 'SUBSYSTEM==mine' > ${own}/.filter; echo mine > ${own}/file; ln ${own}/file ${own}/link`,
  );
  const names = ['head', event, 'tail', 'file', 'link', '.filter', '.since', '.status'];
  return [
    ...names.map((name) => `${own}/${name}`),
    `${daemon.path}/log/${event}`,
    `${daemon.path}/log/.status`,
  ];
}

async function* streams(): AsyncGenerator<string> {
  yield `${daemon.path}/stream`;
  yield `${daemon.path}/match/DEVPATH==*`;
  yield `${await directory()}/.stream`;
}

/** A process whose ring reads a stream, in slot 1, by one kind of READ. */
interface StreamReader {
  readonly calls: Calls;
  readonly what: string;
  readonly read: (calls: Calls, size: number, offset: number) => Promise<unknown>;
}

/**
 * Starts a process for each kind of READ of each kind of stream. They wait at the same time, each
 * in a ring of its own.
 */
async function streamReaders(flags: number): Promise<StreamReader[]> {
  const readers: StreamReader[] = [];
  for (const [kind, read] of Object.entries(READS)) {
    for await (const path of streams()) {
      const calls = new Calls();
      await calls.call('ring', flags);
      await calls.open(1, path);
      readers.push({ calls, what: `${kind} of ${path}`, read });
    }
  }
  return readers;
}

/** Kills a process. @returns the time until it has been waited for, in ms */
async function killed(calls: Calls): Promise<number> {
  const started = performance.now();
  await calls.end();
  return performance.now() - started;
}

/** Starts the program of concurrent readers as the user 65534. */
function libaioReaders(): ConcurrentReaders {
  return new ConcurrentReaders(cpus().length - 1, `${daemon.path}/stream`, AS_NOBODY);
}

/**
 * Counts the threads of a process, workers of the kernel included. A worker has its name only after
 * it has run, so the number tells of it sooner.
 */
const threadsOf = (pid: number): number => readdirSync(`/proc/${pid}/task`).length;

function readTests(test: Suite): void {
  for (const [name, flags] of Object.entries(SETUPS)) {
    test(`returns the text of every file once, by ${name}`, async () => {
      const calls = new Calls();
      assert.is((await calls.call('ring', flags)).errno, '');
      for (const path of await files()) {
        for (const [kind, read] of Object.entries(READS)) {
          await calls.open(1, path);
          const text = (await calls.call('pread', 1, 65536, 0)).bytes;
          assert.ok(text.length > 0, path);
          for (const [size, offset] of [
            [SIZE, 0],
            [SIZE, 3],
            [4, 0],
            [SIZE, text.length],
            [3 << 20, 0],
            [1 << 20, 2],
          ]) {
            await read(calls, size, offset);
            assert.is(
              await result(calls),
              text.slice(offset, offset + size),
              `${kind} of ${path}: ${size} bytes at ${offset}`,
            );
          }
          await calls.call('close', 1);
        }
      }
      await calls.end();
    }, 120_000);

    test(`ends with the event that is in a stream, or with the next one, by ${name}`, async () => {
      const readers = await streamReaders(flags);
      const each = async (step: (reader: StreamReader) => Promise<void>): Promise<void> =>
        void (await Promise.all(readers.map(step)));
      for (const size of [SIZE, RECORD.length, 3 << 20]) {
        publish(daemon.path, EVENT);
        await each(async ({ calls, what, read }) => {
          await read(calls, size, 0);
          assert.is(await result(calls), RECORD, `${what}, with an event in it`);
        });
        await each(async ({ calls, what, read }) => {
          await read(calls, size, 0);
          assert.is(await result(calls, 0, LONG_MS), 'ETIME', what);
        });
        publish(daemon.path, EVENT);
        await each(async ({ calls, what }) =>
          assert.is(await result(calls), RECORD, `${what}, the next event`),
        );
      }
      await each(async ({ calls }) => {
        // A later read(2) must not return 0, which a program takes for the end.
        await calls.call('nonblock', 1, 1);
        for (const size of [SIZE, SIZE - RECORD.length])
          assert.is((await calls.call('read', 1, size)).errno, 'EAGAIN');
        await calls.call('close', 1);
        await calls.end();
      });
    }, 120_000);
  }

  test('waits although the file has O_NONBLOCK, as the kernel has it', async () => {
    const calls = new Calls();
    await calls.call('ring', 0);
    for await (const path of streams()) {
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      for (const sqe of [0, ASYNC]) {
        await calls.call('ring_read', 0, 1, SIZE, 0, sqe);
        assert.is(await result(calls, 0, LONG_MS), 'ETIME', path);
        publish(daemon.path, EVENT);
        assert.is(await result(calls), RECORD, path);
        publish(daemon.path, EVENT);
        await calls.call('ring_reads', 0, 1, SIZE, 0, 4);
        assert.is(await result(calls), RECORD, path);
        for (const tag of [1, 2, 3]) {
          await calls.call('ring_cancel', 9, tag);
          assert.is(await result(calls, tag), 'ECANCELED');
        }
      }
      assert.is((await calls.call('read', 1, SIZE)).errno, 'EAGAIN');
      await calls.call('close', 1);
    }
    await calls.end();
  });

  test('ends with each event if one of 16 waits, and its thread goes on', async () => {
    const calls = new Calls();
    await calls.call('ring', 0);
    for await (const path of streams()) {
      await calls.open(1, path);
      publish(daemon.path, EVENT);
      await calls.call('ring_reads', 0, 1, SIZE, 0, 16);
      const waiting = new Set(Array.from({ length: 16 }, (_, tag) => tag));
      for (let left = 15; left >= 0; left--) {
        await until(
          async () => {
            for (const tag of waiting) {
              const got = await result(calls, tag, 0);
              if (got === 'ETIME') continue;
              assert.is(got, RECORD, path);
              waiting.delete(tag);
            }
            return waiting.size <= left;
          },
          () => `${waiting.size} READs of ${path} wait`,
        );
        assert.is(waiting.size, left, path);
        if (left > 0) publish(daemon.path, EVENT);
      }
      await calls.call('close', 1);
    }
    await calls.end();
  }, 60_000);

  test('returns the text of an event to each of 64 that are submitted at once', async () => {
    const own = await directory();
    publish(daemon.path, EVENT);
    const calls = new Calls();
    await calls.call('ring', 0);
    await calls.open(1, `${own}/head`);
    await calls.call('ring_reads', 0, 1, SIZE, 0, 64);
    for (let tag = 0; tag < 64; tag++) assert.is(await result(calls, tag), EVENT);
    await calls.end();
  });

  test('of a file that threads share returns each event to one of them, and each READ ends', async () => {
    const calls = new Calls();
    for await (const path of streams()) {
      await calls.open(1, path);
      const got = calls.begin(
        'ring_threads',
        1,
        4,
        300 * eventText('/devices/n', { N: 100 }).length + 300,
      );
      for (let first = 100; first < 400; first += 20) {
        publishNumbered(daemon.path, 20, first);
        await sleep(2);
      }
      const { bytes } = await within(10_000, got, `events of ${path} are missing`);
      const numbers = valuesOf('N', bytes.split('\n\n').slice(0, -1))
        .map(Number)
        .sort((one, other) => one - other);
      assert.equal(
        numbers,
        Array.from({ length: 300 }, (_, at) => 100 + at),
        path,
      );
      await calls.call('close', 1);
    }
    await calls.end();
  }, 60_000);

  test('can be cancelled while it waits, and takes no event then', async () => {
    const calls = new Calls();
    await calls.call('ring', 0);
    for await (const path of streams()) {
      for (const flags of [0, ASYNC]) {
        await calls.open(1, path);
        await calls.call('ring_read', 0, 1, SIZE, 0, flags);
        assert.is(await result(calls, 0, LONG_MS), 'ETIME');
        await calls.call('ring_cancel', 1, 0);
        assert.is(await result(calls, 0), 'ECANCELED', path);
        publish(daemon.path, EVENT);
        assert.is((await calls.call('read', 1, SIZE)).bytes, RECORD);
        await calls.call('close', 1);
      }
    }
    await calls.end();
  });

  test('follows a POLL_ADD that reports an event; a read(2) instead of it never returns 0', async () => {
    const calls = new Calls();
    await calls.call('ring', 0);
    for await (const path of streams()) {
      await calls.open(1, path);
      for (let round = 0; round < 3; round++) {
        await calls.call('ring_poll', 0, 1, POLLIN);
        publish(daemon.path, EVENT);
        assert.is((await calls.call('ring_wait', 0, WAIT_MS)).value, POLLIN);
        assert.is((await calls.call('read', 1, SIZE)).bytes, RECORD);
        await calls.call('alarm', LONG_MS, 0);
        assert.is((await calls.call('read', 1, SIZE - RECORD.length)).errno, 'EINTR', path);
      }
      await calls.call('close', 1);
    }
    await calls.end();
  });

  test('by libuv returns the same as read(2)', async () => {
    const own = await directory();
    publish(daemon.path, EVENT);
    const script = `
const { closeSync, openSync, promises, read } = require('fs');
const [event, stream] = process.argv.slice(1);
const get = (fd, position) => new Promise((done) => read(fd, Buffer.alloc(4096), 0, 4096, position, (error, length, bytes) => done(error ? error.code : bytes.toString('latin1', 0, length))));
(async () => {
  const fd = openSync(event);
  const texts = [await get(fd, 0), await get(fd, 4), await promises.readFile(event, 'latin1')];
  const events = openSync(stream);
  texts.push(await get(events, null), await get(events, null));
  console.log(JSON.stringify(texts));
})();`;
    for (const uring of ['0', '1']) {
      const reader = run([process.execPath, '-e', script, `${own}/tail`, `${own}/.stream`], {
        env: { ...process.env, UV_USE_IO_URING: uring },
        timeoutMs: 10_000,
      });
      await until(() => statusOf(own).PENDING === '0', 'the event was not taken off the queue');
      publish(daemon.path, EVENT);
      const { out } = await reader;
      assert.equal(
        JSON.parse(out),
        [EVENT, EVENT.slice(4), EVENT, RECORD, RECORD],
        `UV_USE_IO_URING=${uring}`,
      );
      publish(daemon.path, EVENT);
    }
  }, 60_000);

  // ---- READs that wait

  test('that waits lets its process be killed within a second', async () => {
    for (const flags of Object.values(SETUPS)) {
      const waiting: Calls[] = [];
      for await (const path of streams()) {
        for (const sqe of [0, ASYNC]) {
          const calls = new Calls();
          await calls.call('ring', flags);
          await calls.open(1, path);
          for (let tag = 0; tag < 4; tag++) await calls.call('ring_read', tag, 1, SIZE, 0, sqe);
          waiting.push(calls);
        }
      }
      await Promise.all(
        waiting.map(async (calls) => assert.is(await result(calls, 0, LONG_MS), 'ETIME')),
      );
      for (const calls of waiting) {
        const ms = await killed(calls);
        assert.ok(ms < 1000, `it took ${ms} ms to die of SIGKILL`);
      }
    }
    await until(() => statusOf(`${daemon.path}/log`).STREAMS === '0', 'a stream stays open', 1000);
  }, 60_000);

  test('that waits in a worker of the kernel ends with an event or with its process', async () => {
    for (const end of ['event', 'kill']) {
      const own = await directory();
      const calls = new Calls();
      // The READ continues in ring_wait only, so that read(2) is always faster.
      await calls.call('ring', DEFER_TASKRUN);
      await calls.open(1, `${own}/.stream`);
      await calls.call('ring_read', 0, 1, SIZE, 0, 0);
      // The kernel polls 128 times for a READ (APOLL_MAX_RETRY), and is late each time. Then it
      // starts a worker, which reads and waits. On a busy machine one poll sees several events.
      const isParked = (): boolean => statusOf(`${daemon.path}/log`).PARKED === '1';
      const threads = threadsOf(calls.pid);
      for (let n = 0; n < 5000 && threadsOf(calls.pid) === threads; n++) {
        const other = calls.begin('read', 1, SIZE);
        await until(isParked, 'read(2) does not wait');
        publish(daemon.path, EVENT);
        assert.is((await other).bytes, RECORD);
        assert.is(await result(calls, 0, 1), 'ETIME');
      }
      await until(isParked, 'no worker waits');
      if (end === 'event') {
        publish(daemon.path, EVENT);
        assert.is(await result(calls), RECORD);
      }
      const ms = await killed(calls);
      assert.ok(ms < 1000, `it took ${ms} ms to die of SIGKILL`);
      await until(
        () => statusOf(`${daemon.path}/log`).PARKED === '0',
        'its read still waits',
        1000,
      );
    }
  }, 60_000);

  test('of libaio that waits, 200 times for one user, delays no RELEASE, and its process can be killed', async () => {
    const many = libaioReaders();
    assert.is(await many.ask('aio 200'), 'reading');
    await until(
      () => statusOf(`${daemon.path}/log`).PARKED === '200',
      'the reads do not wait',
      20_000,
    );
    const own = await directory();
    publish(daemon.path, EVENT); // it answers all of them
    await until(
      () => statusOf(`${daemon.path}/log`).PARKED === '0',
      'the reads still wait',
      20_000,
    );
    assert.is(await many.ask('kill'), 'left 0');
    assert.is(await many.ask('aio 200'), 'reading');
    await until(
      () => statusOf(`${daemon.path}/log`).PARKED === '200',
      'the reads do not wait',
      20_000,
    );
    const before = Number(statusOf(`${daemon.path}/log`).STREAMS);
    const calls = new Calls();
    let most = 0;
    for (let round = 0; round < 100; round++) {
      for (const path of [`${daemon.path}/stream`, `${own}/.stream`]) {
        await calls.open(1, path);
        await calls.call('close', 1);
        const started = performance.now();
        await until(
          () => Number(statusOf(`${daemon.path}/log`).STREAMS) === before,
          'RELEASE is delayed',
          1000,
        );
        most = Math.max(most, performance.now() - started);
      }
    }
    figure(`close to RELEASE behind 200 libaio reads that wait, at most ${most.toFixed(1)} ms`);
    const one = libaioReaders();
    assert.is(await one.ask('aio 1'), 'reading');
    await until(() => statusOf(`${daemon.path}/log`).PARKED === '201', 'the read does not wait');
    const started = performance.now();
    assert.is(await one.ask('kill'), 'left 0');
    const ms = performance.now() - started;
    assert.ok(ms < 1000, `it took ${ms} ms to die of SIGKILL`);
    const all = performance.now();
    assert.is(await many.ask('kill'), 'left 0');
    figure(
      `SIGKILL to the end of a process with a libaio read that waits: ${ms.toFixed(1)} ms; of 200: ${(performance.now() - all).toFixed(1)} ms`,
    );
    for (const each of [many, one]) await each.end();
    await calls.end();
    await until(() => statusOf(`${daemon.path}/log`).STREAMS === '0', 'a stream stays open', 1000);
  }, 90_000);

  test.run();
}

const TRANSPORTS = { 'read(2)': 'read', io_uring: 'io-uring' } as const;

if (await lacksUring()) {
  const test = suite("io_uring's READ");
  test('can be used', () => skip('io_uring is not available here'));
  test.run();
} else {
  for (const [name, transport] of Object.entries(TRANSPORTS)) {
    const subject = `with requests by ${name}, io_uring's READ`;
    const why = transport === 'read' ? null : missingRing();
    if (why === null) {
      readTests(mounted(subject, ['--source', 'none', '--transport', transport]));
    } else {
      const test = suite(subject);
      test('can be used', () => skip(why));
      test.run();
    }
  }
}
