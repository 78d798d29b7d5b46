/**
 * Many events and owners on a guarded mount, whose daemon is killed every 10,000 events: the
 * histories of all clients are right, and neither the daemon nor its guardian nor the state grows.
 * EVENTFS_SOAK_EVENTS is the number of events; there is an owner for every 100.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { statusOf } from '../../support/clients/clients.js';
import { Historians } from '../../support/clients/history.js';
import { GuardedMount, type Holdings, median } from '../../support/mount/guarded.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

const EVENTS = Number(process.env.EVENTFS_SOAK_EVENTS ?? 50_000);
const SEED = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
const EVENTS_A_KILL = 10_000;
const EVENTS_AN_OWNER = 100;
const PUBLISHERS = 4;
const BURST = 32;
/** The rate of each publisher. Readers that are too slow for it lose events, by a record. */
const EVENTS_A_SECOND = 5000;
const LONGEST_MS = 20_000;
const GROWTH = 0.05;
const MOST_STATE_MB = 256;

const POLL_MS = 20;
const SECONDS = 120 + (EVENTS / EVENTS_A_KILL) * 8;

const soak = suite('a guarded mount');
let mount: GuardedMount;
let historians: Historians | null = null;

soak.before(async () => {
  mount = await GuardedMount.start(['--source', 'none']);
});
soak.after(async () => {
  historians?.kill();
  await mount.end();
});

const published = (): number => Number(statusOf(`${mount.path}/log`).PUBLISHED);

/** Asserts that a value is at the end what it was after the first tenth of the samples. */
function assertFlat(samples: readonly Holdings[], key: keyof Holdings, slack: number): string {
  const values = samples.map((sample) => sample[key]);
  const part = Math.max(1, Math.floor(values.length / 5));
  const before = median(values.slice(Math.min(part, values.length - part), 2 * part));
  const after = median(values.slice(-part));
  // A short run has no level yet.
  if (samples.length >= 20)
    assert.ok(after <= before * (1 + GROWTH) + slack, `${key} grows from ${before} to ${after}`);
  return `${key} ${before.toFixed(1)} to ${after.toFixed(1)}`;
}

soak(
  `with ${EVENTS} events and a kill every ${EVENTS_A_KILL} does not grow, and loses nothing`,
  async () => {
    historians = new Historians(mount.path);
    const eachOf = Math.ceil(EVENTS / PUBLISHERS / BURST) * BURST;
    await historians.start({
      publishers: PUBLISHERS,
      rate: EVENTS_A_SECOND,
      burst: BURST,
      events: eachOf,
      deaths: Math.ceil((EVENTS_A_SECOND * PUBLISHERS) / EVENTS_AN_OWNER),
      allDeaths: EVENTS / EVENTS_AN_OWNER,
      names: 1,
      calls: 50,
      seed: SEED,
    });
    const samples: Holdings[] = [];
    for (let since = published(); !historians.areDone;) {
      await sleep(POLL_MS);
      if (published() - since < EVENTS_A_KILL) continue;
      samples.push(await mount.holdings());
      await mount.kill();
      since = published();
      assert.is(mount.guardian.process.exitCode, null, mount.guardian.log());
      assert.equal(historians.ended, [], mount.guardian.log());
    }
    await historians.end();
    await historians.close();
    const found = historians.check(LONGEST_MS);
    assert.equal(found.violations, [], `seed ${SEED}: ${historians.out}\n${found.report()}`);
    const most = Math.max(...samples.map(({ stateMb }) => stateMb));
    assert.ok(most < MOST_STATE_MB, `the state has ${most} MiB`);
    const flat = [
      assertFlat(samples, 'residentMb', 8),
      assertFlat(samples, 'guardianMb', 0.5),
      assertFlat(samples, 'descriptors', 4),
      assertFlat(samples, 'guardianDescriptors', 4),
    ];
    figure(`${samples.length} kills; ${flat.join(', ')}; state at most ${most.toFixed(1)} MiB`);
    figure(found.report());
    assert.is(await mount.guardian.stop(), 0);
  },
  SECONDS * 1000,
);

soak.run();
