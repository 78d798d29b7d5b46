/**
 * A handler of the daemon that hangs: its caller gets EIO after the bound, exactly once, and the
 * log names it. The addon does it in a signal handler (native/addon/fuse/request_watchdog.h).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Calls, killClients, publishNumbered, statusOf } from '../../support/clients/clients.js';
import {
  type Daemon,
  killDaemons,
  mountPoint,
  startDaemon,
  until,
  within,
  hasSaid,
} from '../../support/mount/daemon.js';
import { withRing } from '../../support/mount/transport.js';
import { withPreload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';
import { isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';

const BOUND_MS = 1000;
/** The daemon looks four times in a bound. */
const LATEST_MS = BOUND_MS * 1.25;
/** The time that a busy machine may add. */
const SLOW_MS = 1000;

const hang = suite('a handler that hangs');

hang.after(async () => {
  await killClients();
  await killDaemons();
});

const TRANSPORTS = isRingOffered() === undefined ? ['read'] : ['read', 'io-uring'];

/** Calls `work` with a daemon of each transport that the machine has, at the same time. */
async function each(
  args: readonly string[],
  work: (daemon: Daemon, transport: string) => Promise<void>,
  transports = TRANSPORTS,
): Promise<void> {
  const eventfs = withPreload('hanging-handlers');
  const one = async (transport: string): Promise<void> => {
    const options = ['--source', 'none', '--transport', transport, ...args];
    const daemon = await startDaemon(options, mountPoint(), { eventfs });
    await work(daemon, statusOf(`${daemon.path}/log`).TRANSPORT);
    await daemon.stop();
  };
  await withRing(() => Promise.all(transports.map(one)));
}

/** Returns how often the log has a text. */
function times(daemon: Daemon, text: string | RegExp): number {
  return daemon.log().split(text).length - 1;
}

hang('ends its call with EIO after the bound, once, and the log names it at once', async () => {
  await each(['--request-bound', '1'], async (daemon) => {
    const calls = new Calls();
    await calls.call('getxattr', `${daemon.path}/log`, 'user.none');
    const startMs = Date.now();
    const { errno } = await calls.call('getxattr', `${daemon.path}/log`, 'user.hang.2500');
    const tookMs = Date.now() - startMs;
    assert.is(errno, 'EIO');
    assert.ok(tookMs >= BOUND_MS && tookMs < LATEST_MS + SLOW_MS, `${tookMs} ms`);
    await until(
      () => times(daemon, 'no answer') === 1,
      () => `no line yet: ${daemon.log()}`,
      500,
    );
    await hasSaid(
      daemon,
      `eventfs: mount: FUSE_GETXATTR from pid ${calls.pid}: the daemon has found no answer for 1 s, and answers EIO (it hangs: see eventfs doctor)\n`,
    );
    assert.is((await calls.call('getxattr', `${daemon.path}/log`, 'user.none')).errno, 'ENODATA');
    await until(
      () => times(daemon, 'its handler took') === 1,
      () => `no end: ${daemon.log()}`,
    );
    await hasSaid(
      daemon,
      new RegExp(
        `FUSE_GETXATTR from pid ${calls.pid}: its handler took 2\\.[2-5] s; its caller got EIO`,
      ),
    );
    assert.is(times(daemon, 'no answer'), 1, daemon.log());
    assert.is(statusOf(`${daemon.path}/log`).HUNG, '1');
    await calls.end();
  });
});

hang('is none if it ends within the bound, or if there is no bound', async () => {
  const ends = async (bound: string): Promise<void> =>
    each(
      ['--request-bound', bound],
      async (daemon) => {
        const calls = new Calls();
        const { errno } = await calls.call('getxattr', `${daemon.path}/log`, 'user.hang.1600');
        assert.is(errno, 'ENODATA');
        assert.is(statusOf(`${daemon.path}/log`).HUNG, '0');
        await calls.end();
      },
      ['read'],
    );
  await Promise.all(['2', '0'].map(ends));
});

hang(
  'lets a caller behind it wait, or fails its call too if io_uring has fetched the request',
  async () => {
    await each(['--request-bound', '1'], async (daemon, transport) => {
      const callers = [new Calls(), new Calls()];
      await callers[1].open(1, `${daemon.path}/log/.status`);
      const first = callers[0].call('getxattr', `${daemon.path}/log`, 'user.hang.3000');
      await sleep(300);
      const second = callers[1].call('read', 1, 4096);
      assert.is((await first).errno, 'EIO');
      const { errno } = await within(20_000, second, 'the second call did not end');
      assert.is(errno, transport === 'io-uring' ? 'EIO' : '');
      for (const calls of callers) await calls.end();
    });
  },
);

hang('takes no event if it parks its read after the caller has got EIO', async () => {
  await each(['--request-bound', '1'], async (daemon) => {
    const calls = new Calls();
    await calls.open(1, `${daemon.path}/stream`);
    await calls.call('getxattr', `${daemon.path}/log`, 'user.hang-read.1600');
    assert.is((await calls.call('read', 1, 4096)).errno, 'EIO');
    await until(
      () => statusOf(`${daemon.path}/log`).PARKED === '0',
      () => `PARKED=${statusOf(`${daemon.path}/log`).PARKED}`,
    );
    publishNumbered(daemon.path, 1);
    assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0');
    await calls.end();
  });
});

hang('ends with EIO at once if the handler returns and has no reply', async () => {
  await each([], async (daemon) => {
    const calls = new Calls();
    const { errno } = await within(
      2000,
      calls.call('getxattr', `${daemon.path}/log`, 'user.forgotten'),
      'the call did not end',
    );
    assert.is(errno, 'EIO');
    await until(
      () => times(daemon, /FUSE_GETXATTR: its handler returned no reply/) === 1,
      daemon.log(),
    );
    await calls.end();
  });
});

hang('is not noticed without a timer, and the log says so', async () => {
  const daemon = await startDaemon(['--source', 'none'], mountPoint(), {
    under: ['prlimit', '--sigpending=0'],
  });
  await hasSaid(
    daemon,
    'timer_create: Resource temporarily unavailable: no bound applies to requests (try ulimit -i unlimited)',
  );
  assert.is(statusOf(`${daemon.path}/log`).HUNG, '0');
  await daemon.stop();
});

hang.run();
