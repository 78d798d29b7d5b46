/**
 * The daemon of a guarded mount is killed at random moments, under clients that write down each
 * call: no call of theirs fails or hangs, each reader gets each event once, and no dead owner's
 * directory can be reached. Reloads come in between, and some of the new daemons are killed.
 * EVENTFS_KILLS is the number of kills.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { untilAlone } from '../../support/clients/actor.js';
import { compiled } from '../../support/clients/compiled.js';
import { Historians } from '../../support/clients/history.js';
import { Attacker, OneCpu } from '../../support/mount/confined.js';
import { until } from '../../support/mount/daemon.js';
import { GuardedMount, median, randomNumbers } from '../../support/mount/guarded.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

const KILLS = Number(process.env.EVENTFS_KILLS ?? 50);
const SEED = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
/** The longest time between a restart and the next kill. */
const PAUSE_MS = 400;
/** After each fifth kill, the next daemon is killed too while it starts. */
const TWICE = 5;
const START_MS = 200;
/** The number of kills between two reloads. */
const RELOAD_EVERY = 10;
/** Clients, the daemon and its start share two CPUs. */
const LONGEST_MS = 10_000;

/** The part of the kills that come while the kernel's queue is full. */
const BUSY_PART = 5;

const kills = suite('the clients of a guarded mount');
const mounts: GuardedMount[] = [];
let historians: Historians | null = null;
let cgroup: OneCpu;

kills.before(() => {
  cgroup = OneCpu.make();
});
kills.after(async () => {
  await cgroup.remove();
  historians?.kill();
  for (const mount of mounts) await mount.end();
  await untilAlone(); // a daemon that a reload has replaced may end just now
});

async function startMount(): Promise<GuardedMount> {
  const mount = await GuardedMount.start(['--source', 'kernel']);
  mounts.push(mount);
  return mount;
}

/** Kills the daemon under clients, and checks what they have written down. */
async function killUnderClients(mount: GuardedMount, count: number): Promise<void> {
  historians = new Historians(mount.path);
  await historians.start({
    publishers: 4,
    rate: 125,
    uevents: 10,
    deaths: 20,
    names: 2,
    calls: 200,
    seed: SEED,
  });
  const { guardian } = mount;
  const next = randomNumbers(SEED);
  const gaps: number[] = [];
  for (let n = 0; n < count; n++) {
    await sleep(next() * PAUSE_MS);
    const isTwice = next() < 1 / TWICE;
    const gap = await mount.kill(isTwice ? next() * START_MS : undefined);
    if (!isTwice) gaps.push(gap);
    if (n % RELOAD_EVERY === 0) {
      // A new daemon that is killed: the old one goes on, or it has been killed for it
      const killsNew = next() < 0.5;
      const code = await mount.reload(killsNew ? next() * 2 * START_MS : undefined);
      if (!killsNew) assert.is(code, 0, guardian.log());
    }
    assert.is(guardian.process.exitCode, null, guardian.log());
    assert.equal(historians.ended, [], guardian.log());
  }
  await historians.end();
  await historians.close();
  const found = historians.check(LONGEST_MS);
  const log = guardian.log().slice(-2000);
  assert.equal(found.violations, [], `seed ${SEED}: ${historians.out}\n${found.report()}\n${log}`);
  figure(
    `${count} kills; no service for ${median(gaps).toFixed(0)} ms at the median, ` +
      `at most ${Math.max(...gaps).toFixed(0)} ms`,
  );
  figure(found.report());
}

kills(
  `get each result as if the daemon had lived through ${KILLS} kills`,
  async () => {
    const mount = await startMount();
    await killUnderClients(mount, KILLS);
    assert.is(await mount.guardian.stop(), 0);
  },
  KILLS * 3000 + 120_000,
);

const BUSY_KILLS = Math.ceil(KILLS / BUSY_PART);
const BUSY_LIMIT_S = BUSY_KILLS * 6 + 120;
kills(
  `do so too if another user has 2,000 requests in the kernel's queue, with ${BUSY_KILLS} kills`,
  async () => {
    const mount = await startMount();
    const program = [compiled('hostile'), 'stats-2000', mount.path, String(BUSY_LIMIT_S)];
    const crowd = new Attacker([...AS_NOBODY, ...program], cgroup);
    await until(() => crowd.hasBegun || crowd.failure !== '', 'the crowd has not begun');
    await killUnderClients(mount, BUSY_KILLS);
    assert.is(crowd.failure, '');
    assert.is(crowd.tally.refused, '0');
    await crowd.kill();
    assert.is(await mount.guardian.stop(), 0);
  },
  BUSY_LIMIT_S * 1000,
);

kills.run();
