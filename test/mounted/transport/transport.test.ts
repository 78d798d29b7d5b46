/**
 * Requests through io_uring, where the kernel behaves otherwise than with read(2). `make test
 * TRANSPORT=io-uring` runs all other tests on it.
 */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { measure } from '../../support/mount/measure.js';
import { publish, statusOf } from '../../support/clients/clients.js';
import { isMounted, run, startDaemon, until, within } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { type Suite, skip, suite } from '../../support/runner/suite.js';
import { CUT_OFF_MESSAGE, missingRing } from '../../support/mount/transport.js';
import { ConcurrentReaders } from './concurrent-readers.js';

const RING = ['--source', 'none', '--transport', 'io-uring'];
const TIMEOUT_MS = 120_000;
const why = missingRing();

const status = (path: string, key: string): string => statusOf(`${path}/log`)[key];

/** The last CPU. */
const CPU = cpus().length - 1;

function ringTests(ring: Suite): void {
  ring('is the transport that log/.status names', () => {
    assert.is(status(daemon.path, 'TRANSPORT'), 'io-uring');
  });

  ring(
    'serves a stat(2) although blocked readers hold all entries of its CPU',
    async () => {
      const readers = new ConcurrentReaders(CPU, `${daemon.path}/stream`);
      assert.is(await readers.ask('share 300'), 'ready');
      daemon.process.kill('SIGSTOP');
      assert.is(await readers.ask('go'), 'reading');
      assert.is(await readers.ask(`stat ${daemon.path}/log`), 'begun');
      daemon.process.kill('SIGCONT');
      assert.is(await readers.ask('ended'), 'yes');
      assert.ok(Number(status(daemon.path, 'STARVED')) > 0, 'the ring had entries for all readers');
      assert.is(await readers.ask('kill'), 'left 0');
      await readers.end();
    },
    TIMEOUT_MS,
  );

  ring(
    'lets each killed reader end, whenever the signal comes',
    async () => {
      const publishers = [0, 1].map(() =>
        spawn('sh', [
          '-c',
          `while printf 'change@/x\\nACTION=change\\n' > ${daemon.path}/publish; do :; done`,
        ]),
      );
      const readers = new ConcurrentReaders(CPU, `${daemon.path}/stream`);
      for (let round = 0; round < 30; round++) {
        assert.is(await readers.ask('read 64'), 'reading');
        assert.is(await readers.ask('kill'), 'left 0', `round ${round}`);
      }
      await readers.end();
      for (const publisher of publishers) publisher.kill('SIGKILL');
    },
    TIMEOUT_MS,
  );

  ring(
    'keeps the promise: seven operations fail after each of 10,000 deaths',
    async () => {
      // Two processes: one would sleep for most of its time, until its next owner is scheduled.
      const runs = await Promise.all(
        [0, 1].map(() =>
          measure('deaths', [daemon.path, 5000], { timeoutMs: 240_000, signal: 'SIGTERM' }),
        ),
      );
      for (const got of runs) {
        assert.is(got.get('accesses'), '35000');
        for (const none of ['stale', 'stuck', 'wrong_errno'])
          assert.is(got.get(none), '0', `${none}: ${[...got].join(' ')}`);
      }
    },
    250_000,
  );

  ring(
    'returns many events at once to slow readers, in order',
    async () => {
      const { path } = daemon;
      const args = [
        '--publish',
        `${path}/publish`,
        '--batch',
        400,
        '--read',
        1 << 20,
        '--pause',
        20_000,
      ];
      const got = await measure('readers', [`${path}/stream`, 16, 2, 160, ...args], {
        timeoutMs: TIMEOUT_MS,
        signal: 'SIGTERM',
      });
      assert.is(got.get('disorder'), '0', [...got].join(' '));
      assert.ok(Number(got.get('events_per_s')) > 0);
    },
    TIMEOUT_MS,
  );

  ring('carries an event of 60,000 bytes unchanged', async () => {
    const text = `change@/large\nACTION=change\nDEVPATH=/large\nSUBSYSTEM=large\nVALUE=${'x'.repeat(60_000)}\n`;
    const reader = run(['head', '-c', '60000', `${daemon.path}/match/SUBSYSTEM=large`]);
    await until(() => status(daemon.path, 'STREAMS') === '1', 'no reader has opened the stream');
    publish(daemon.path, text);
    assert.is((await reader).out, text.slice(0, 60_000));
  });

  ring('lets a signal end a reader that has waited for 0.5 s', async () => {
    const started = Date.now();
    const { code } = await run(['timeout', '0.5', 'cat', `${daemon.path}/stream`]);
    assert.is(code, 124);
    assert.ok(Date.now() - started < 10_000);
  });

  ring.run();
}

const lives = suite('a daemon on io_uring');

async function blockedReader(
  path: string,
): Promise<Promise<{ out: string; err: string; code: number | null }>[]> {
  const reader = run(['cat', `${path}/stream`]);
  await until(() => status(path, 'STREAMS') === '1', 'no reader has opened the stream');
  return [reader];
}

function lifeTests(): void {
  lives('returns the end of the file to blocked readers when it stops, and unmounts', async () => {
    const one = await startDaemon(RING);
    const [reader] = await blockedReader(one.path);
    assert.is(await one.stop(), 0);
    assert.equal(await reader, { out: '', err: '', code: 0 });
    assert.not(isMounted(one.path));
  });

  lives('ends its blocked readers with an error when it is killed', async () => {
    const one = await startDaemon(RING);
    const [reader] = await blockedReader(one.path);
    await one.kill();
    const { code, err } = await within(10_000, reader, 'the reader did not end');
    assert.is(code, 1);
    assert.match(err, CUT_OFF_MESSAGE);
    await run(['umount', '-l', one.path]);
  });

  lives('ends when umount(8) removes its mount', async () => {
    const one = await startDaemon(RING);
    assert.is((await run(['umount', one.path])).code, 0);
    assert.is(await within(10_000, one.ended, 'the daemon did not end'), 0);
  });

  lives('uses the transport of the last --transport option', async () => {
    const one = await startDaemon([...RING, '--transport', 'read']);
    assert.is(status(one.path, 'TRANSPORT'), 'read');
    await one.stop();
  });

  lives('chooses io_uring by itself only if it may run on more than one CPU', async () => {
    const one = await startDaemon(['--source', 'none', '--transport', 'auto'], undefined, {
      under: ['taskset', '-c', String(CPU)],
    });
    assert.is(status(one.path, 'TRANSPORT'), 'read');
    await one.stop();
    if (
      cpus().length < 2 ||
      readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim() !== '0-1'
    )
      return;
    const two = await startDaemon(['--source', 'none', '--transport', 'auto']);
    assert.is(status(two.path, 'TRANSPORT'), 'io-uring');
    await two.stop();
  });

  lives.run();
}

if (why === null) {
  ringTests(mounted('io_uring', RING));
  lifeTests();
} else {
  lives('can be used', () => skip(why));
  lives.run();
}
