/**
 * Faults of the machine under a daemon that serves clients of all kinds: it is stopped, frozen,
 * system calls fail, its helper dies or hangs. Each client writes down its calls, and the history
 * checker looks at all of them at the end.
 */
import * as assert from 'uvu/assert';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnClient, statusOf } from '../../support/clients/clients.js';
import { Fault, FreezableGroup } from '../../support/clients/fault.js';
import { Historians } from '../../support/clients/history.js';
import {
  type Daemon,
  isMounted,
  killDaemons,
  startDaemon,
  until,
  within,
  hasSaid,
} from '../../support/mount/daemon.js';
import { daemon as idle, mounted } from '../../support/mount/mounted.js';
import { childrenNamed } from '../../support/processes.js';
import { figure } from '../../support/runner/output.js';
import { skip, suite } from '../../support/runner/suite.js';

/** The time of each stop, in milliseconds: 10 s by hand. */
const STOP_MS = Number(process.env.EVENTFS_FAULT_SECONDS ?? 1) * 1000;
/** The time between faults. */
const BREATH_MS = 300;
const SEED = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
/**
 * EVENTFS_FAULT_GUARD, for runs by hand: the mount is guarded, so its daemon is another process.
 */
const GUARD = process.env.EVENTFS_FAULT_GUARD === undefined ? [] : ['--guard'];
/** A fault lasts as long as three stops, on a busy machine. */
const LONGEST_MS = 3 * STOP_MS + 5000;

const faults = suite('a daemon under load');
let daemon: Daemon;
/** The PID of the process that serves. */
let served: number;
let historians: Historians;

faults.before(async () => {
  // With io_uring requests do not come by read(2).
  daemon = await startDaemon(['--source', 'kernel', '--transport', 'read', ...GUARD]);
  served = GUARD.length === 0 ? daemon.pid : childrenNamed(daemon.pid, '')[0];
  historians = new Historians(daemon.path);
  await historians.start({
    publishers: 3,
    rate: 100,
    uevents: 10,
    deaths: 10,
    names: 2,
    calls: 100,
    seed: SEED,
  });
});
faults.after(async () => {
  historians.kill();
  await killDaemons();
});

/** Asserts that the daemon serves, and that all clients make progress. */
async function goesOn(): Promise<void> {
  await sleep(BREATH_MS);
  const before = Number(statusOf(`${daemon.path}/log`).PUBLISHED);
  await until(
    () => Number(statusOf(`${daemon.path}/log`).PUBLISHED) > before,
    'no more events come',
    10_000,
  );
  assert.is(daemon.process.exitCode, null, daemon.log());
  assert.equal(historians.ended, []);
}

faults(
  'goes on after a stop by SIGSTOP, during which a caller can be killed',
  async () => {
    process.kill(served, 'SIGSTOP');
    await sleep(STOP_MS / 2);
    const caller = spawnClient(['stat', `${daemon.path}/log`], 'ignore');
    const ended = new Promise<void>((done) => caller.once('exit', () => done()));
    await sleep(STOP_MS / 2);
    assert.is(caller.exitCode, null, 'a stopped daemon has answered');
    caller.kill('SIGKILL');
    await within(20_000, ended, 'the caller did not end by SIGKILL');
    process.kill(served, 'SIGCONT');
    await goesOn();
  },
  60_000,
);

for (const first of ['readers', 'daemon'] as const)
  faults(
    `goes on after a freezer that takes the ${first} first`,
    async () => {
      const readers = FreezableGroup.make('eventfs-readers');
      const group = FreezableGroup.make('eventfs-daemon');
      if (readers === null || group === null) return skip('no cgroup2 can be written here');
      for (const pid of historians.readers) readers.add(pid);
      group.add(served);
      const [one, other] = first === 'readers' ? [readers, group] : [group, readers];
      await one.freeze();
      await sleep(STOP_MS / 4);
      await other.freeze();
      await sleep(STOP_MS / 4);
      one.thaw();
      await sleep(STOP_MS / 4);
      other.thaw();
      await readers.remove();
      await group.remove();
      await goesOn();
    },
    90_000,
  );

faults(
  'starts a notifier that was killed anew, and gets by with one that hangs',
  async () => {
    const notifier = (): number | undefined => childrenNamed(served, 'eventfs-notify')[0];
    await until(() => notifier() !== undefined, 'there is no notifier');
    const before = notifier()!;
    process.kill(before, 'SIGKILL');
    await until(() => notifier() !== undefined && notifier() !== before, 'no new notifier comes');
    const hanging = notifier()!;
    process.kill(hanging, 'SIGSTOP');
    await sleep(STOP_MS);
    await goesOn();
    process.kill(hanging, 'SIGCONT');
    await goesOn();
  },
  60_000,
);

for (const error of ['EINTR', 'EAGAIN', 'ENOENT', 'ENOMEM', 'EIO'] as const)
  faults(`goes on after ${error} from a read of /dev/fuse`, async () => {
    const fault = await Fault.fail(served, 'read', error, 3, '/dev/fuse');
    await fault.spent();
    await fault.end();
    await goesOn();
  });

for (const error of ['ENOBUFS', 'ENOMEM', 'EINTR'] as const)
  faults(`goes on after ${error} from its netlink socket`, async () => {
    const fault = await Fault.fail(served, 'recvmmsg', error, 2);
    await fault.spent();
    await fault.end();
    await goesOn();
  });

faults(
  'has given each client the right results',
  async () => {
    await historians.end();
    await historians.close();
    const found = historians.check(LONGEST_MS);
    assert.equal(found.violations, [], `seed ${SEED}: ${historians.out}\n${found.report()}`);
    figure(found.report());
    assert.is(await daemon.stop(), 0);
  },
  90_000,
);

faults.run();

const refusing = mounted('a daemon without memory or descriptors', ['--source', 'none']);

for (const [call, error, refusal] of [
  ['pidfd_open', 'EMFILE', 'ENFILE'],
  ['pidfd_open', 'ENOMEM', 'ENOMEM'],
  ['epoll_ctl', 'ENOSPC', 'ENOSPC'],
  ['epoll_ctl', 'ENOMEM', 'ENOMEM'],
] as const)
  refusing(`refuses one mkdir(2) after ${error} from ${call}(2), and no more`, async () => {
    const mine = `${idle.path}/${process.pid}.${call}-${error}`;
    const fault = await Fault.fail(idle.pid, call, error);
    assert.throws(() => mkdirSync(mine), new RegExp(`^${refusal}`));
    mkdirSync(mine);
    await fault.end();
    rmdirSync(mine);
    assert.is(statusOf(`${idle.path}/log`).OWNERS, '0');
  });

refusing.run();

/** More than the memory of the state that the daemon asks for at once. */
const MANY_FILES = 150;
const FILE_BYTES = 60_000;

const guarded = suite('a guarded daemon whose state gets no more memory');
let guardian: Daemon;

guarded.before(async () => {
  guardian = await startDaemon(['--source', 'none', '--guard', '--guard-limit', '3:1']);
});
guarded.after(killDaemons);

guarded('goes on, and says so', async () => {
  const fault = await Fault.fail(childrenNamed(guardian.pid, '')[0], 'fallocate', 'ENOSPC', 1e6);
  const mine = `${guardian.path}/${process.pid}.full`;
  mkdirSync(mine);
  const text = `add@/x\n${'x'.repeat(FILE_BYTES)}\n`;
  for (let n = 0; n < MANY_FILES; n++) writeFileSync(`${mine}/f${n}`, text);
  assert.is(readFileSync(`${mine}/f${MANY_FILES - 1}`, 'latin1'), text);
  await fault.end();
  await until(() => /the state is given up: /.test(guardian.log()), 'it does not say so');
});

guarded(
  'ends with its mount if it is killed then',
  async () => {
    process.kill(childrenNamed(guardian.pid, '')[0], 'SIGKILL');
    assert.is(await within(30_000, guardian.ended, 'the guardian does not give up'), 1);
    await hasSaid(guardian, /the guardian gives up and unmounts: 3 daemons /);
    assert.is(isMounted(guardian.path), false);
  },
  40_000,
);

guarded.run();
