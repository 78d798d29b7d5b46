/**
 * The kernel's limits on the age of requests, fs.fuse.default_request_timeout and
 * max_request_timeout. They are of the whole machine, so the test sets them only for the moment of
 * a mount, and to values that would not harm another mount. A daemon of the test ends reads 2 s
 * after they block, as if they were 570 s old.
 */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Calls, killClients, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { eventfs } from '../../support/mount/command.js';
import {
  type Daemon,
  killDaemons,
  mountPoint,
  startDaemon,
  until,
  hasSaid,
} from '../../support/mount/daemon.js';
import { withRing } from '../../support/mount/transport.js';
import { skip, suite } from '../../support/runner/suite.js';
import { isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';
import { readRequestTimeouts } from '../../../fs/shared/kernel/request-timeout.js';

const LIFE_MS = 2000;
const LIMIT_S = 600;
const MARGIN = { EVENTFS_READ_MARGIN: String(LIMIT_S - LIFE_MS / 1000) };
/** Long enough for two reads to end. */
const LONG_MS = 2.3 * LIFE_MS;
const DIRECTORY = '/proc/sys/fs/fuse';

const timeout = suite("the kernel's limit on the age of requests");

timeout.after(async () => {
  await killClients();
  await killDaemons();
});

/** Skips the test on a kernel without the limit. */
function needLimit(): void {
  if (!existsSync(`${DIRECTORY}/max_request_timeout`))
    skip('the kernel has no limit on the age of requests (Linux 6.14)');
}

/** Runs `work` while the sysctls have these values. */
async function withLimits<T>(byDefault: number, max: number, work: () => Promise<T>): Promise<T> {
  const before = readRequestTimeouts();
  const set = (values: typeof before): void => {
    writeFileSync(`${DIRECTORY}/default_request_timeout`, String(values.byDefault));
    writeFileSync(`${DIRECTORY}/max_request_timeout`, String(values.max));
  };
  set({ byDefault, max });
  try {
    return await work();
  } finally {
    set(before);
  }
}

async function start(transport: string): Promise<Daemon> {
  const args = ['--source', 'none', '--transport', transport, '--debug=requests'];
  return startDaemon(args, mountPoint(), { env: MARGIN });
}

/** Calls `work` with a daemon of each transport, at the same time. */
async function each(
  byDefault: number,
  max: number,
  work: (daemon: Daemon) => Promise<void>,
): Promise<void> {
  needLimit();
  const transports = isRingOffered() === undefined ? ['read'] : ['read', 'io-uring'];
  const daemons = await withLimits(byDefault, max, () =>
    withRing(() => Promise.all(transports.map(start))),
  );
  await Promise.all(
    daemons.map(async (daemon) => {
      await work(daemon);
      await daemon.stop();
    }),
  );
}

/** Programs that repeat a read that fails with EINTR; `$1` is the file. */
const REPEATING: Readonly<Record<string, readonly string[]>> = {
  cat: ['cat', '$1'],
  dd: ['dd', 'if=$1', 'bs=65536', 'status=none'],
  bash: ['bash', '-c', 'while read -r line; do printf "%s\\n" "$line"; done < $1'],
  python: [
    'python3',
    '-c',
    'import os\nfd = os.open("$1", 0)\nwhile True: os.write(1, os.read(fd, 65536))',
  ],
};

timeout(
  'ends blocked reads with EINTR before it, cat, dd, bash and Python repeat them, and no event is lost',
  async () => {
    await each(0, LIMIT_S, async (daemon) => {
      assert.is(statusOf(`${daemon.path}/log`).REQUEST_TIMEOUT, String(LIMIT_S));
      await hasSaid(daemon, `the kernel allows a request ${LIMIT_S} s`);
      const outs = Object.fromEntries(Object.keys(REPEATING).map((name) => [name, '']));
      const readers = Object.entries(REPEATING).map(([name, words]) => {
        const [command, ...args] = words.map((word) => word.replace('$1', `${daemon.path}/stream`));
        const reader = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
        reader.stdout.on('data', (chunk: Buffer) => (outs[name] += chunk.toString('latin1')));
        return reader;
      });
      const calls = new Calls();
      await calls.open(1, `${daemon.path}/stream`);
      const startMs = Date.now();
      assert.is((await calls.call('read', 1, 4096)).errno, 'EINTR');
      assert.ok(Math.abs(Date.now() - startMs - LIFE_MS) < LIFE_MS / 2 + 500);
      await hasSaid(daemon, / EINTR \(the kernel would end the mount for an older request\)\n/);
      await calls.end();
      await sleep(LONG_MS - LIFE_MS);
      await until(
        () => Number(statusOf(`${daemon.path}/log`).PARKED) === readers.length,
        'a reader is gone',
      );
      assert.ok(Number(statusOf(`${daemon.path}/log`).EXPIRED) > readers.length);
      publishNumbered(daemon.path, 3);
      for (const name of Object.keys(outs))
        await until(
          () => /N=0[^]*N=1[^]*N=2/.test(outs[name]),
          () => `${name}: ${outs[name]}`,
        );
      for (const reader of readers) reader.kill('SIGKILL');
    });
  },
  60_000,
);

timeout(
  'ends blocked reads before it with fuse-native too, which can not ask for another',
  async () => {
    needLimit();
    const daemon = await withLimits(LIMIT_S, 0, () =>
      startDaemon(['--source', 'none', '--driver', 'fuse-native'], mountPoint(), { env: MARGIN }),
    );
    const calls = new Calls();
    await calls.open(1, `${daemon.path}/stream`);
    const startMs = Date.now();
    assert.is((await calls.call('read', 1, 4096)).errno, 'EINTR');
    assert.ok(Date.now() - startMs > LIFE_MS / 2);
    const { REQUEST_TIMEOUT, EXPIRED, PARKED } = statusOf(`${daemon.path}/log`);
    assert.equal([REQUEST_TIMEOUT, EXPIRED, PARKED], [String(LIMIT_S), '1', '0']);
    await calls.end();
    await daemon.stop();
  },
);

timeout('by default does not apply: the daemon asks for 65535 s', async () => {
  await each(LIMIT_S, 0, (daemon) => {
    assert.is(statusOf(`${daemon.path}/log`).REQUEST_TIMEOUT, '65535');
    assert.not.match(daemon.log(), 'fails with EINTR');
    return Promise.resolve();
  });
});

timeout('of less than 60 s is refused, by mount and by mount --check', async () => {
  needLimit();
  const path = mountPoint();
  const [mount, check, doctor] = await withLimits(0, 45, () =>
    Promise.all([
      eventfs(['mount', '--source', 'none', path]),
      eventfs(['mount', '--check', '--source', 'none', path]),
      eventfs(['doctor', '--mount', path]),
    ]),
  );
  assert.is(mount.code, 1);
  assert.is(
    mount.err,
    'eventfs: mount: the kernel ends a mount whose request is 45 s old, and reads that wait for events need at least 60 s (try sysctl fs.fuse.max_request_timeout=0, or 60 or more)\n',
  );
  for (const { out, code } of [check, doctor]) {
    assert.is(code, 1);
    assert.match(out, /^fail {2}.*max_request_timeout is 45, and eventfs needs at least 60/m);
  }
});

timeout('counts the age of a read across restarts, and stays that of the mount', async () => {
  needLimit();
  const daemon = await withLimits(0, LIMIT_S, () =>
    startDaemon(['--source', 'none', '--guard'], mountPoint(), { env: MARGIN }),
  );
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/stream`);
  const startMs = Date.now();
  const reading = calls.call('read', 1, 4096);
  await sleep(0.6 * LIFE_MS);
  process.kill(Number(statusOf(`${daemon.path}/log`).DAEMON), 'SIGKILL');
  assert.is((await reading).errno, 'EINTR');
  const tookMs = Date.now() - startMs;
  assert.ok(tookMs > LIFE_MS / 2 && tookMs < 1.5 * LIFE_MS, `it took ${tookMs} ms`);
  assert.is(statusOf(`${daemon.path}/log`).REQUEST_TIMEOUT, String(LIMIT_S));
  await calls.end();
  await daemon.stop();
});

timeout('does not apply to a mount that exists', async () => {
  needLimit();
  const daemon = await startDaemon(['--source', 'none'], mountPoint(), { env: MARGIN });
  const status = await withLimits(0, LIMIT_S, () =>
    Promise.resolve(statusOf(`${daemon.path}/log`)),
  );
  assert.is(status.REQUEST_TIMEOUT, '0');
  await daemon.stop();
});

timeout.run();
