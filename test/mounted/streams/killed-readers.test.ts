/**
 * A signal ends a reader that waits for the daemon, in each state of the daemon. The kernel lets it
 * if the daemon has not received the request, or answers it. After that only the daemon, its end or
 * an abort ends the call (fs/fuse/dev.c, request_wait_answer()): docs/debugging.md has the table.
 */
import * as assert from 'uvu/assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Calls, killClients, statusOf } from '../../support/clients/clients.js';
import {
  type Daemon,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { withRing } from '../../support/mount/transport.js';
import { stateOf, waitsForReply } from '../../support/processes.js';
import { withPreload } from '../../support/project.js';
import { skip, suite } from '../../support/runner/suite.js';
import { abortConnection, connectionAt } from '../../../fs/shared/kernel/connection.js';
import { isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';

const AT_ONCE_MS = 500;
/** The time that a reader is watched which must not end. */
const STAYS_MS = 200;
const SIGNALS = ['SIGINT', 'SIGKILL'] as const;
const CGROUPS = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) =>
  existsSync(`${path}/cgroup.procs`),
);

const killed = suite('a reader that is killed');

killed.after(async () => {
  await killClients();
  await killDaemons();
});

/** A cat(1) on the stream of a mount. */
class Cat {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  isOver = false;
  err = '';

  constructor(path: string) {
    this.process = spawn('cat', [`${path}/stream`], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.process.stderr!.on('data', (chunk: Buffer) => (this.err += chunk.toString()));
    this.ended = once(this.process, 'close').then(() => (this.isOver = true));
  }

  /** Resolves once it waits for the daemon. */
  async waits(): Promise<this> {
    const { pid } = this.process;
    await until(() => waitsForReply(pid!), 'cat does not wait');
    return this;
  }

  /** Sends a signal. @returns true if it ends cat at once */
  async diesBy(signal: NodeJS.Signals): Promise<boolean> {
    this.process.kill(signal);
    return this.endsAtOnce();
  }

  async endsAtOnce(ms = AT_ONCE_MS): Promise<boolean> {
    await Promise.race([this.ended, sleep(ms)]);
    return this.isOver;
  }
}

/** Calls `work` with a daemon of each transport that the machine has, at the same time. */
async function each(work: (daemon: Daemon, isRing: boolean) => Promise<void>): Promise<void> {
  const eventfs = withPreload('hanging-handlers');
  const one = async (transport: string): Promise<void> => {
    const args = ['--source', 'none', '--transport', transport, '--request-bound', '0'];
    const daemon = await startDaemon(args, mountPoint(), { eventfs });
    await work(daemon, statusOf(`${daemon.path}/log`).TRANSPORT === 'io-uring');
    await daemon.stop().catch(() => daemon.kill());
  };
  const transports = isRingOffered() === undefined ? ['read'] : ['read', 'io-uring'];
  await withRing(() => Promise.all(transports.map(one)));
}

/** Starts a cat whose read is parked. */
async function parked(daemon: Daemon): Promise<Cat> {
  const before = Number(statusOf(`${daemon.path}/log`).PARKED);
  const cat = new Cat(daemon.path);
  await until(
    () => Number(statusOf(`${daemon.path}/log`).PARKED) > before,
    'the read is not parked',
  );
  return cat;
}

/**
 * Checks a state in which the daemon does nothing: a parked reader stays until the daemon
 * continues, and a reader that comes now can be killed unless io_uring has its request.
 */
async function doesNothing(
  daemon: Daemon,
  isRing: boolean,
  signal: NodeJS.Signals,
  halt: () => Promise<void> | void,
  goOn: () => unknown,
): Promise<void> {
  const old = await parked(daemon);
  await halt();
  try {
    const fresh = await new Cat(daemon.path).waits();
    assert.is(await fresh.diesBy(signal), !isRing, `${signal}, ring ${isRing}`);
    old.process.kill(signal);
    assert.not.ok(await old.endsAtOnce(STAYS_MS), 'the kernel lets a parked reader go');
  } finally {
    await goOn();
  }
  assert.ok(await old.endsAtOnce(), `${signal}: it stays after the daemon goes on`);
}

killed('ends at once while the daemon runs', async () => {
  await each(async (daemon) => {
    for (const signal of SIGNALS) assert.ok(await (await parked(daemon)).diesBy(signal), signal);
  });
});

killed('ends at once when a stopped daemon continues, and before that if it is new', async () => {
  await each(async (daemon, isRing) => {
    for (const signal of SIGNALS)
      await doesNothing(
        daemon,
        isRing,
        signal,
        async () => {
          daemon.process.kill('SIGSTOP');
          await until(() => stateOf(daemon.pid) === 'T', 'the daemon does not stop');
        },
        () => daemon.process.kill('SIGCONT'),
      );
  });
});

killed(
  'ends at once when the cgroup of the daemon thaws, and before that if it is new',
  async () => {
    if (CGROUPS === undefined) skip('no cgroup2 is mounted');
    await each(async (daemon, isRing) => {
      const group = `${CGROUPS}/eventfs-test-${daemon.pid}`;
      mkdirSync(group);
      const freeze = (isFrozen: boolean): void =>
        writeFileSync(`${group}/cgroup.freeze`, isFrozen ? '1' : '0');
      try {
        writeFileSync(`${group}/cgroup.procs`, String(daemon.pid));
        for (const signal of SIGNALS)
          await doesNothing(
            daemon,
            isRing,
            signal,
            async () => {
              freeze(true);
              await until(
                () => readFileSync(`${group}/cgroup.events`, 'latin1').includes('frozen 1'),
                'the daemon does not freeze',
              );
            },
            () => freeze(false),
          );
      } finally {
        freeze(false);
        writeFileSync(`${CGROUPS}/cgroup.procs`, String(daemon.pid));
        rmdirSync(group);
      }
    });
  },
);

killed('ends at once when a busy daemon is through, and before that if it is new', async () => {
  await each(async (daemon, isRing) => {
    const calls = new Calls();
    const goOn = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `go-on-${daemon.pid}`);
    for (const signal of SIGNALS) {
      let hang: Promise<unknown> = Promise.resolve();
      await doesNothing(
        daemon,
        isRing,
        signal,
        async () => {
          rmSync(goOn, { force: true });
          hang = calls.call('getxattr', `${daemon.path}/log`, 'user.hang-on');
          await calls.sleeps();
          await until(() => stateOf(daemon.pid) === 'R', 'the daemon does not hang');
        },
        async () => {
          writeFileSync(goOn, '');
          await hang;
        },
      );
    }
    await calls.end();
  });
});

killed('ends by itself when the daemon is killed, or its connection is aborted', async () => {
  await each(async (daemon) => {
    const cat = await parked(daemon);
    const connection = connectionAt(daemon.path);
    daemon.process.kill('SIGSTOP');
    abortConnection(connection);
    assert.ok(await cat.endsAtOnce(), 'the abort does not end it');
    daemon.process.kill('SIGCONT');
  });
  await each(async (daemon) => {
    const cat = await parked(daemon);
    daemon.process.kill('SIGKILL');
    assert.ok(await cat.endsAtOnce(), 'it outlives the daemon');
    assert.match(cat.err, /abort|not connected/);
    await run(['umount', daemon.path]);
  });
});

killed.run();
