/**
 * Requests through io_uring: what the kernel does there and does not do for us. The rest of the tests run on it by
 * `make test TRANSPORT=io-uring`.
 */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { buildClients, client } from '../../support/actor.js';
import { measure } from '../../support/measure.js';
import { publish, statusOf } from '../../support/clients.js';
import { isMounted, run, startDaemon, until, within } from '../../support/daemon.js';
import { daemon, mounted } from '../../support/mounted.js';
import { type Suite, suite } from '../../support/suite.js';
import { missingRing } from '../../support/transport.js';

const RING = ['--source', 'none', '--transport', 'io-uring'];
const TIMEOUT_MS = 120_000;
const why = missingRing();
if (why !== null) console.log(`skipped: ${why}`);

const status = (path: string, key: string): string => statusOf(`${path}/log`)[key];

/** test/programs/crowd.c: many readers on one CPU. */
class Crowd {
  readonly #process;
  readonly #lines: AsyncIterator<string, undefined>;

  constructor(cpu: number, file: string) {
    this.#process = spawn(client('crowd'), [String(cpu), file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ask(command: string): Promise<string> {
    this.#process.stdin.write(`${command}\n`);
    const line = await within(60_000, this.#lines.next(), `crowd: ${command}`);
    return line.done === true ? 'ended' : line.value;
  }

  async end(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin.end();
    await within(10_000, ended, 'the crowd did not end');
  }
}

/** The last one: where the daemon starts on none of them it is as good as any. */
const CPU = cpus().length - 1;

function ringTests(ring: Suite): void {
  ring('is what status says', () => {
    assert.is(status(daemon.path, 'TRANSPORT'), 'io-uring');
  });

  ring(
    'leaves nobody waiting behind blocked readers that hold all places of their CPU',
    async () => {
      buildClients();
      const crowd = new Crowd(CPU, `${daemon.path}/stream`);
      assert.is(await crowd.ask('share 300'), 'ready');
      daemon.process.kill('SIGSTOP');
      assert.is(await crowd.ask('go'), 'reading');
      assert.is(await crowd.ask(`stat ${daemon.path}/log`), 'begun');
      daemon.process.kill('SIGCONT');
      assert.is(await crowd.ask('ended'), 'yes');
      assert.ok(Number(status(daemon.path, 'STARVED')) > 0, 'there was room for all');
      assert.is(await crowd.ask('kill'), 'left 0');
      await crowd.end();
    },
    TIMEOUT_MS,
  );

  ring(
    'leaves no killed reader behind, whenever the signal comes',
    async () => {
      buildClients();
      const publishers = [0, 1].map(() =>
        spawn('sh', [
          '-c',
          `while printf 'change@/x\\nACTION=change\\n' > ${daemon.path}/publish; do :; done`,
        ]),
      );
      const crowd = new Crowd(CPU, `${daemon.path}/stream`);
      for (let round = 0; round < 30; round++) {
        assert.is(await crowd.ask('read 64'), 'reading');
        assert.is(await crowd.ask('kill'), 'left 0', `round ${round}`);
      }
      await crowd.end();
      for (const publisher of publishers) publisher.kill('SIGKILL');
    },
    TIMEOUT_MS,
  );

  ring(
    'keeps the promise: 10,000 owners killed and waited for, seven operations after each',
    async () => {
      const got = await measure('deaths', [daemon.path, 10_000], {
        timeoutMs: 240_000,
        signal: 'SIGTERM',
      });
      assert.is(got.get('accesses'), '70000');
      for (const none of ['stale', 'stuck', 'wrong_errno'])
        assert.is(got.get(none), '0', `${none}: ${[...got].join(' ')}`);
    },
    250_000,
  );

  ring(
    'hands many events at once to readers that lag, in order',
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

  ring('takes an event of 64 KiB as it was written', async () => {
    const text = `change@/large\nACTION=change\nDEVPATH=/large\nSUBSYSTEM=large\nVALUE=${'x'.repeat(60_000)}\n`;
    const reader = run(['head', '-c', '60000', `${daemon.path}/match/SUBSYSTEM=large`]);
    await until(() => status(daemon.path, 'STREAMS') === '1', 'nobody reads');
    publish(daemon.path, text);
    assert.is((await reader).out, text.slice(0, 60_000));
  });

  ring('interrupts a reader that has waited for long', async () => {
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
  await until(() => status(path, 'STREAMS') === '1', 'nobody reads');
  return [reader];
}

function lifeTests(): void {
  lives('ends blocked readers with the end of the file, and leaves nothing', async () => {
    const one = await startDaemon(RING);
    const [reader] = await blockedReader(one.path);
    assert.is(await one.stop(), 0);
    assert.equal(await reader, { out: '', err: '', code: 0 });
    assert.not(isMounted(one.path));
  });

  lives('that is killed keeps no reader waiting', async () => {
    const one = await startDaemon(RING);
    const [reader] = await blockedReader(one.path);
    await one.kill();
    const { code, err } = await within(10_000, reader, 'the reader did not end');
    assert.is(code, 1);
    assert.match(err, /abort|not connected/i);
    await run(['umount', '-l', one.path]);
  });

  lives('ends when somebody unmounts', async () => {
    const one = await startDaemon(RING);
    assert.is((await run(['umount', one.path])).code, 0);
    assert.is(await within(10_000, one.ended, 'the daemon did not end'), 0);
  });

  lives('reads and writes where it is told to', async () => {
    const one = await startDaemon([...RING, '--transport', 'read']);
    assert.is(status(one.path, 'TRANSPORT'), 'read');
    await one.stop();
  });

  lives('takes it by itself only where there is more than one CPU for it', async () => {
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
  lives.skip('is not tested', () => undefined);
  lives.run();
}
