/**
 * A broker that attacks: the bridge neither ends nor grows, answers `--status`, stops when it is
 * told to, and both of its mounts serve meanwhile.
 */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Bridge, endFleet, publish, scratch } from '../../support/fleet/bridges.js';
import { type Attack, HostileBroker, VICTIM } from '../../support/fleet/hostile-broker.js';
import { eventfs } from '../../support/mount/command.js';
import { type Daemon, startDaemon, within } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('a bridge whose broker attacks');

/** How long each attack lasts, in ms. */
const ATTACK_MS = 2500;
/** A bridge without work has 70 MB. */
const MOST_KIB = 190 * 1024;
/** The last messages may take 2 s each, and the directories 2 s. */
const STOP_MS = 12_000;
const ANSWER_MS = 2000;

let local: Daemon;
let fleet: Daemon;

tests.before(async () => {
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(async () => {
  HostileBroker.stopAll();
  await endFleet(local, fleet);
});

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

/** Runs a bridge whose broker attacks it. @returns how many states it has sent meanwhile */
async function attack(name: Attack): Promise<number> {
  const broker = await HostileBroker.start(name);
  const own = ['--host', VICTIM, '--publish', 'SUBSYSTEM==mine', '--keep-alive', '2'];
  const state = scratch();
  const mounts = ['--mount', local.path, '--fleet', fleet.path, '--state', state];
  const bridge = new Bridge(['--broker', broker.url, ...own, ...mounts]);
  await bridge.says(/connected to/);
  let most = 0;
  const end = performance.now() + ATTACK_MS;
  for (let n = 0; performance.now() < end; n++) {
    publish(local, n, n + 1);
    await within(ANSWER_MS, readdir(fleet.path), `${fleet.path} does not answer`);
    most = Math.max(most, residentKib(bridge.process.pid!));
    await sleep(50);
  }
  const { out, code } = await eventfs(['bridge', '--status', '--state', state]);
  assert.is(code, 0, 'it answers --status');
  assert.match(out, `process ${bridge.process.pid}`);
  assert.ok(most < MOST_KIB, `${most} KiB`);
  assert.not.match(bridge.log, /daemon does not answer/);
  const states = await broker.states();
  assert.is(await within(STOP_MS, bridge.stop(), 'it does not stop'), 0, bridge.log);
  broker.stop();
  return states;
}

tests('says its state once, however many calls come', async () => {
  assert.ok((await attack('calls')) <= 2);
});

tests('does not grow while hosts flip, and the broker reads nothing', async () => {
  await attack('flips');
});

tests.run();
