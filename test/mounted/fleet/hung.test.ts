/** A bridge whose mounts do not answer, or refuse: the broker notices nothing of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import {
  Bridge,
  Reader,
  endFleet,
  forgets,
  knows,
  publish,
  scratch,
} from '../../support/fleet/bridges.js';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import { eventfs } from '../../support/mount/command.js';
import { type Daemon, startDaemon, until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('a bridge whose mount hangs');

/** The status of a bridge whose events the broker has. */
const WAITS_NOT = /^waiting +0 events/m;

let local: Daemon;
let fleet: Daemon;
let broker: Broker;
let web: Host;

tests.before(async () => {
  broker = await startBroker();
  web = await startHost('web');
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(() => endFleet(local, fleet));

function bridge(name: string, ...args: readonly string[]): Bridge {
  const own = ['--broker', broker.url, '--host', name, '--keep-alive', '1', '--state', scratch()];
  return new Bridge([...own, ...args], web.enter);
}

function host(name = 'web1', ...args: readonly string[]): Bridge {
  return bridge(name, '--mount', local.path, '--publish', 'SUBSYSTEM==mine', ...args);
}

/** How often mosquitto has seen a client of this name end in another way than its own. */
function failures(name: string): number {
  const ends = new RegExp(`Client eventfs-${name}-\\S+ (?!disconnected\\.)`, 'g');
  return broker.log().match(ends)?.length ?? 0;
}

tests('keeps its connection while a daemon hangs, and its events come later', async () => {
  const [one, other] = [host(), bridge('watcher', '--fleet', fleet.path)];
  await knows(fleet.path, 'web1');
  const reader = new Reader(`${fleet.path}/match/HOST=web1`);
  publish(local, 0, 10);
  await reader.reaches(10);
  const hung = [local, fleet];
  for (const daemon of hung) process.kill(daemon.pid, 'SIGSTOP');
  try {
    // Three times the time after which the broker sends a will.
    await sleep(4500);
    assert.is(failures('web1') + failures('watcher'), 0, broker.log());
  } finally {
    for (const daemon of hung) process.kill(daemon.pid, 'SIGCONT');
  }
  publish(local, 10, 20);
  await reader.reaches(20);
  assert.is(reader.lost, 0);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
});

tests(
  'holds a bounded number of events for a daemon that hangs, and asks for the rest',
  async () => {
    const state = scratch();
    const own = ['--history', '64', '--state', state];
    const [one, other] = [host('web1', ...own), bridge('watcher', '--fleet', fleet.path)];
    await knows(fleet.path, 'web1');
    const reader = new Reader(`${fleet.path}/match/HOST=web1`);
    const status = `${fleet.path}/log/.status`;
    const isOpen = (): boolean =>
      /^STREAM_.* filter=HOST==web1$/m.test(readFileSync(status, 'utf8'));
    await until(isOpen, 'the reader does not wait');
    process.kill(fleet.pid, 'SIGSTOP');
    const text = (n: number): string =>
      `change@/n\nACTION=change\nDEVPATH=/n\nSUBSYSTEM=mine\nN=${n}\nX=${'x'.repeat(60_000)}\n\n`;
    for (let n = 0; n < 600; n++) writeFileSync(`${local.path}/publish`, text(n));
    await other.says(/its daemon does not answer; events wait/);
    await until(
      () =>
        eventfs(['bridge', '--status', '--state', state]).then(({ out }) => WAITS_NOT.test(out)),
      'the broker does not have the events',
    );
    const memory = Number(
      /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${other.process.pid!}/status`, 'utf8'))![1],
    );
    process.kill(fleet.pid, 'SIGCONT');
    await reader.reaches(600);
    await other.says(/its daemon answers again/);
    assert.is(reader.lost, 0);
    assert.ok(memory < 150_000, `${memory} KiB`);
    reader.end();
    await Promise.all([one.stop(), other.stop()]);
  },
);

tests('ends while its daemons hang, and says so to the broker', async () => {
  const [one, other] = [host(), bridge('watcher', '--fleet', fleet.path)];
  await Promise.all([one.says(/connected/), other.says(/connected/)]);
  await knows(fleet.path, 'web1');
  for (const daemon of [local, fleet]) process.kill(daemon.pid, 'SIGSTOP');
  try {
    // The kernel keeps a process in the call that a daemon has begun.
    for (const each of [one, other]) each.process.kill('SIGTERM');
    for (const name of ['web1', 'watcher'])
      await until(
        () => new RegExp(`eventfs-${name}-\\S+ disconnected\\.`).test(broker.log()),
        name,
      );
  } finally {
    for (const daemon of [local, fleet]) process.kill(daemon.pid, 'SIGCONT');
  }
  assert.equal(await Promise.all([one.ended, other.ended]), [0, 0]);
  await forgets(fleet.path, 'web1');
});

tests.run();
