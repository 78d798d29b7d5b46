/** The state directory of a bridge: who has it, and what a full disk does to it. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Saved } from '../../../fs/bridge/files/saved.js';
import { FleetMount } from '../../../fs/bridge/fleet-mount.js';
import { LineLogger } from '../../../fs/shared/log/logger.js';
import {
  Bridge,
  PATIENCE_MS,
  Reader,
  endFleet,
  knows,
  publish,
  scratch,
} from '../../support/fleet/bridges.js';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import { eventfs } from '../../support/mount/command.js';
import { type Daemon, run, startDaemon, until, within } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('the state of a bridge');

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

function savedSession(state: string): string {
  const saved = JSON.parse(readFileSync(join(state, 'bridge.json'), 'utf8')) as Saved;
  return `${saved.boot}-${saved.number}`;
}

/** Starts a bridge that publishes as web1. */
function host(state: string): Bridge {
  const own = ['--host', 'web1', '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
  return new Bridge(['--broker', broker.url, ...own, '--state', state], web.enter);
}

async function sessionOf(state: string): Promise<string> {
  const { out } = await eventfs(['bridge', '--status', '--state', state]);
  return /^name +.*, session (\S+)/m.exec(out)![1];
}

tests('belongs to one bridge, also of two that start at once after a SIGKILL', async () => {
  const state = scratch();
  const first = host(state);
  await first.says(/connected/);
  await first.stop('SIGKILL');
  assert.ok(readdirSync(state).includes('status.sock'), 'the dead socket is there');
  for (let round = 0; round < 5; round++) {
    const rivals = Array.from({ length: 3 }, () => host(state));
    await until(() => rivals.some(({ log }) => log.includes('connected')), 'none has connected');
    const refused = rivals.filter(({ log }) => !log.includes('connected'));
    for (const each of refused) {
      assert.is(await within(PATIENCE_MS, each.ended, 'two run'), 1, each.log);
      assert.match(each.log, /another bridge uses this state/);
    }
    const [winner, ...others] = rivals.filter((each) => !refused.includes(each));
    assert.is(others.length, 0, 'two run');
    await winner.stop('SIGKILL');
  }
});

tests('has a new session for each process that could not save it on a full disk', async () => {
  const disk = scratch();
  const mounted = await run(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=700', 'full', disk]);
  assert.is(mounted.code, 0, mounted.err);
  const follower = new Bridge(
    ['--broker', broker.url, '--host', 'watcher', '--fleet', fleet.path, '--state', scratch()],
    web.enter,
  );
  try {
    const state = join(disk, 'state');
    mkdirSync(state);
    const before = host(state);
    await before.says(/connected/);
    await before.stop();
    const sessions = new Set([savedSession(state)]);
    assert.throws(() => writeFileSync(join(disk, 'fill'), Buffer.alloc(1024 * 1024)), /ENOSPC/);
    const reader = new Reader(`${fleet.path}/match/HOST=web1`);
    for (let round = 0; round < 3; round++) {
      const one = host(state);
      await one.says(/the state is not saved: .*No space left on device \(make room\)/);
      await knows(fleet.path, 'web1');
      sessions.add(await sessionOf(state));
      publish(local, round * 10, round * 10 + 10);
      await reader.reaches(round * 10 + 10);
      await one.stop('SIGKILL');
    }
    assert.is(sessions.size, 4, [...sessions].join());
    assert.is(reader.lost, 0);
    reader.end();
  } finally {
    await follower.stop();
    await run(['umount', '-l', disk]);
  }
});

tests('is checked before a start, as is the place of the metrics', async () => {
  const check = (...args: readonly string[]): ReturnType<typeof eventfs> =>
    eventfs([
      ...['bridge', '--check', '--broker', broker.url, '--host', 'web1', '--mount', local.path],
      ...['--publish', '', '--state', scratch(), ...args],
    ]);
  const good = await check('--metrics', join(scratch(), 'bridge.prom'));
  assert.match(good.out, /^ok {4}\S+bridge\.prom: the metrics can be written there$/m);
  const bad = await check('--metrics', '/nowhere/bridge.prom');
  assert.match(bad.out, /^fail {2}\/nowhere\/bridge\.prom: No such file or directory \(make its /m);
});

tests('counts an event that the mount refuses as lost, at its place', async () => {
  const reader = new Reader(`${fleet.path}/match/HOST=db1`);
  const failures: unknown[] = [];
  const logger = new LineLogger('bridge', { level: 'error', isJson: false });
  const mount = new FleetMount(
    fleet.path,
    logger,
    (error) => failures.push(error),
    () => undefined,
  );
  const event = (n: number): Buffer => Buffer.from(`change@/n/${n}\nACTION=change\nN=${n}\n`);
  mount.event('db1', event(0));
  // No bridge passes this on. It stands for an event that only an older mount refuses.
  mount.event('db1', Buffer.from('no header\n'));
  mount.event('db1', event(2));
  mount.flush();
  await reader.reaches(3);
  assert.is(reader.lost, 1);
  assert.equal([mount.counted.refused, mount.counted.lost], [1, 1]);
  assert.is(await mount.close(), true);
  assert.equal(failures, []);
  reader.end();
});

tests.run();
