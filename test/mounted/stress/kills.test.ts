/**
 * The daemon of a guarded mount is killed at random moments, under clients that write down each
 * call: no call of theirs fails or hangs, each reader gets each event once, and no dead owner's
 * directory can be reached. EVENTFS_KILLS is the number of kills.
 */
import * as assert from 'uvu/assert';
import { stat } from 'node:fs/promises';
import { buildClients } from '../../support/clients/actor.js';
import { childrenNamed } from '../../support/clients/fault.js';
import { Historians } from '../../support/clients/history.js';
import {
  type Daemon,
  killDaemons,
  mountPoint,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const KILLS = Number(process.env.EVENTFS_KILLS ?? 50);
const SEED = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
/** The longest time between a kill and the next one, behind the restart. */
const PAUSE_MS = 400;
/** One kill in so many comes while the next daemon starts. */
const EARLY = 5;
/** Clients, the daemon and its start share two CPUs. */
const LONGEST_MS = 10_000;

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

const kills = suite('the clients of a guarded mount');
let guardian: Daemon;
let historians: Historians | null = null;

kills.before(async () => {
  buildClients();
  const args = ['--source', 'kernel', '--guard', '--guard-limit', '1000:1'];
  guardian = await startDaemon(args, mountPoint());
});
kills.after(async () => {
  historians?.kill();
  await killDaemons();
});

/** A generator of numbers below 1 from a seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns the middle value. */
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >>> 1];

/** Returns the PID of the daemon that runs now. */
async function daemonNow(): Promise<number> {
  return until(() => childrenNamed(guardian.pid, '')[0], 'the guardian starts no daemon', 20_000);
}

/** Kills the daemon. @returns the time until a call is served, in milliseconds */
async function killOnce(next: () => number): Promise<number> {
  process.kill(await daemonNow(), 'SIGKILL');
  const began = performance.now();
  if (next() < 1 / EARLY) {
    await sleep(next() * 200);
    process.kill(await daemonNow(), 'SIGKILL');
  }
  await within(20_000, stat(`${guardian.path}/publish`), 'no daemon serves');
  return performance.now() - began;
}

kills(
  `get each result as if the daemon had lived through ${KILLS} kills`,
  async () => {
    historians = new Historians(guardian.path);
    await historians.start({
      publishers: 4,
      rate: 125,
      uevents: 10,
      deaths: 20,
      names: 2,
      calls: 200,
      seed: SEED,
    });
    const next = random(SEED);
    const gaps: number[] = [];
    for (let n = 0; n < KILLS; n++) {
      await sleep(next() * PAUSE_MS);
      gaps.push(await killOnce(next));
      assert.is(guardian.process.exitCode, null, guardian.log());
      assert.equal(historians.ended, [], guardian.log());
    }
    await historians.end();
    await historians.close();
    const found = historians.check(LONGEST_MS);
    const told = `seed ${SEED}: ${historians.out}\n${found.report()}\n${guardian.log().slice(-2000)}`;
    assert.equal(found.violations, [], told);
    console.log(
      `\n  figure: ${KILLS} kills; no service for ${median(gaps).toFixed(0)} ms at the median, at most ${Math.max(...gaps).toFixed(0)} ms`,
    );
    console.log(`  figure: ${found.report()}`);
    assert.is(await guardian.stop(), 0);
  },
  KILLS * 3000 + 120_000,
);

kills.run();
