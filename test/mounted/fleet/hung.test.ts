/** A bridge whose mounts do not answer, or refuse: the broker notices nothing of it. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import {
  Bridge,
  PATIENCE_MS,
  Reader,
  forgets,
  knows,
  publish,
  scratch,
} from '../../support/fleet/bridges.js';
import { startBroker } from '../../support/fleet/broker.js';
import { broker, fleet, fleetSuite, local, quickBridge, web } from '../../support/fleet/suite.js';
import { eventfs } from '../../support/mount/command.js';
import { run, until, within } from '../../support/mount/daemon.js';
import { memoryKib, waitsForReply } from '../../support/processes.js';

/**
 * A bridge that waits writes 36 MB at once. A reader may be slow on a busy machine, and the ring of
 * the default would lose events to it, which is no matter of the bridge.
 */
const ROOM = join(scratch(), 'eventfs.toml');
writeFileSync(ROOM, '[log]\nring_bytes = "64 MiB"\n');

const tests = fleetSuite('a bridge whose mount hangs', ['--config', ROOM]);

/** The status of a bridge whose events the broker has. */
const WAITS_NOT = /^waiting +0 events/m;
/** How many states a host sends while a daemon hangs, and the lost events of each session. */
const STATES = 40_000;
const LOST_EACH = 1000;

function host(name = 'web1', ...args: readonly string[]): Bridge {
  return quickBridge(name, '--mount', local.path, '--publish', 'SUBSYSTEM==mine', ...args);
}

/** How often mosquitto has seen a client of this name end in another way than its own. */
function failures(name: string): number {
  const ends = new RegExp(`Client eventfs-${name}-\\S+ (?!disconnected\\.)`, 'g');
  return broker.log().match(ends)?.length ?? 0;
}

/** Tells whether the host's bridge has read all events of its mount. */
function isAllRead(): boolean {
  return /^DIRECTORIES_PENDING=0$/m.test(readFileSync(`${local.path}/log/.status`, 'utf8'));
}

/** The memory that a bridge uses, in KiB. */
function memoryOf(one: Bridge): number {
  return memoryKib(one.process.pid!);
}

tests('keeps its connection while a daemon hangs, and its events come later', async () => {
  const [one, other] = [host(), quickBridge('watcher', '--fleet', fleet.path)];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
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
    const [one, other] = [host('web1', ...own), quickBridge('watcher', '--fleet', fleet.path)];
    await knows(fleet.path, 'web1');
    const reader = await Reader.of(fleet, 'web1');
    process.kill(fleet.pid, 'SIGSTOP');
    const text = (n: number): string =>
      `change@/n\nACTION=change\nDEVPATH=/n\nSUBSYSTEM=mine\nN=${n}\nX=${'x'.repeat(60_000)}\n\n`;
    for (let n = 0; n < 600; n++) {
      writeFileSync(`${local.path}/publish`, text(n));
      // The host's own queue has no part in this: its bridge may be slow on a busy machine.
      if (n % 20 === 19) await until(isAllRead, 'the bridge of the host does not read');
    }
    await other.says(/its daemon does not answer; events wait/);
    await until(
      () =>
        eventfs(['bridge', '--status', '--state', state]).then(({ out }) => WAITS_NOT.test(out)),
      'the broker does not have the events',
    );
    const memory = memoryOf(other);
    process.kill(fleet.pid, 'SIGCONT');
    await reader.reaches(600);
    await other.says(/its daemon answers again/);
    assert.is(reader.lost, 0);
    assert.ok(memory < 150_000, `${memory} KiB`);
    reader.end();
    await Promise.all([one.stop(), other.stop()]);
  },
);

/** The state of a host, with eight sessions that have ended since state number n - 1. */
function stateOf(n: number): string {
  const ended = Array.from({ length: 8 }, (_, at) => ({
    session: at === 0 ? `b${n - 1}-1` : `b${n}-x-${at}`,
    next: LOST_EACH + 1,
  }));
  const own = { online: true, session: `b${n}-1`, connection: 1, machine: 'e' };
  return `${JSON.stringify({ ...own, ended })}\n`;
}

tests(
  'holds a bounded number of losses for a daemon that hangs, and all of them come',
  async () => {
    const state = scratch();
    const patient = await startBroker({ lines: ['max_queued_messages 0'] });
    const own = ['--host', 'watcher', '--fleet', fleet.path, '--keep-alive', '1', '--state', state];
    const other = new Bridge(['--broker', patient.url, ...own], web.enter);
    await other.says(/connected/);
    const publishes = async (from: number, to: number): Promise<void> => {
      const input = Array.from({ length: to - from }, (_, at) => stateOf(from + at)).join('');
      const topic = ['-q', '1', '-t', 'eventfs/1/evil/state', '-l'];
      const command = [...web.enter, 'mosquitto_pub', ...patient.clientArguments, ...topic];
      assert.is((await run(command, { input })).code, 0);
    };
    await publishes(0, 1);
    await knows(fleet.path, 'evil');
    const reader = await Reader.of(fleet, 'evil');
    const lost = STATES * 8 * LOST_EACH;
    process.kill(fleet.pid, 'SIGSTOP');
    let memory: number;
    try {
      for (let n = 1; n <= STATES; n += 5000) await publishes(n, n + 5000);
      const hasAll = ` ${lost.toLocaleString('en')} lost,`;
      await until(
        async () => (await eventfs(['bridge', '--status', '--state', state])).out.includes(hasAll),
        'the bridge does not have all states',
        60_000,
      );
      memory = memoryOf(other);
    } finally {
      process.kill(fleet.pid, 'SIGCONT');
    }
    await reader.reaches(lost);
    assert.ok(memory < 150_000, `${memory} KiB`);
    reader.end();
    await other.stop();
  },
  120_000,
);

tests('ends while its daemons hang, and says so to the broker', async () => {
  const [one, other] = [host(), quickBridge('watcher', '--fleet', fleet.path)];
  await Promise.all([one.says(/connected/), other.says(/connected/)]);
  await knows(fleet.path, 'web1');
  process.kill(fleet.pid, 'SIGSTOP');
  publish(local, 0, 1);
  const { pid } = other.process;
  const threads = (): string[] => readdirSync(`/proc/${pid}/task`);
  await until(() => threads().some((tid) => waitsForReply(Number(tid))), 'the event does not wait');
  process.kill(local.pid, 'SIGSTOP');
  try {
    for (const each of [one, other]) each.process.kill('SIGTERM');
    for (const name of ['web1', 'watcher'])
      await until(
        () => new RegExp(`eventfs-${name}-\\S+ disconnected\\.`).test(broker.log()),
        name,
      );
    // The kernel keeps a process only in a call that the daemon has begun.
    assert.is(await within(PATIENCE_MS, other.ended, 'the follower does not end'), 0);
  } finally {
    for (const daemon of [local, fleet]) process.kill(daemon.pid, 'SIGCONT');
  }
  assert.is(await one.ended, 0);
  await forgets(fleet.path, 'web1');
});

tests.run();
