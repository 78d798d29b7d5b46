/**
 * Hosts whose cable is pulled, and bridges that start again: each event comes once, or is counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, cut, delay, restore, startHost } from '../../support/fleet/network.js';
import { type Daemon, makeUevent, startDaemon, until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import {
  Bridge,
  Reader,
  forgets,
  knows,
  publish,
  scratch,
  endFleet,
} from '../../support/fleet/bridges.js';

const tests = suite('a host without a network');

let local: Daemon;
let fleet: Daemon;
let broker: Broker;
let web: Host;
let watching: Host;

tests.before(async () => {
  broker = await startBroker();
  [web, watching] = [await startHost('web'), await startHost('watching')];
  [local, fleet] = await Promise.all([
    startDaemon(['--source', 'kernel']),
    startDaemon(['--fleet']),
  ]);
});

tests.after(() => endFleet(local, fleet));

function bridges(state = scratch(), ...args: readonly string[]): [Bridge, Bridge] {
  const both = ['--broker', broker.url, '--keep-alive', '2', ...args];
  const out = ['--host', 'web1', '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
  const from = ['--host', 'watcher', '--fleet', fleet.path];
  return [
    new Bridge([...both, ...out, '--state', state], web.enter),
    new Bridge([...both, ...from, '--state', scratch()], watching.enter),
  ];
}

tests(
  'has no directory on the others while it is cut off, and sends its missed events later',
  async () => {
    const [one, other] = bridges();
    await knows(fleet.path, 'web1');
    await delay(web, 5);
    const reader = await Reader.of(fleet, 'web1');
    publish(local, 0, 100);
    await reader.reaches(100);
    for (const cable of [web, watching]) {
      const before = reader.next;
      await cut(cable);
      for (let n = 0; n < 20; n++) {
        publish(local, before + n * 50, before + (n + 1) * 50);
        await sleep(100);
      }
      await forgets(fleet.path, 'web1', 30_000);
      await restore(cable);
      await knows(fleet.path, 'web1');
      await reader.reaches(before + 1000, 30_000);
    }
    assert.is(reader.lost, 0);
    reader.end();
    await Promise.all([one.stop(), other.stop()]);
  },
  120_000,
);

tests('goes on with its session when its bridge starts again, also after SIGKILL', async () => {
  const state = scratch();
  const [first, other] = bridges(state);
  let one = first;
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  const saved = (): { acknowledged: number; number: number } =>
    JSON.parse(readFileSync(join(state, 'bridge.json'), 'utf8')) as never;
  const { number } = saved();
  let published = 0;
  const more = (count: number): void => publish(local, published, (published += count));
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
    await makeUevent();
    more(50);
    await reader.reaches(published);
    if (signal === 'SIGKILL')
      await until(() => saved().acknowledged === published, 'the state is not saved');
    more(1); // after the last save
    await reader.reaches(published);
    await one.stop(signal);
    more(70);
    await makeUevent();
    more(30);
    one = new Bridge(one.args, web.enter);
    await reader.reaches(published);
    assert.is(saved().number, number, 'the session is the same');
  }
  assert.is(reader.lost, 0);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
});

tests('gets no event twice after its broker starts with an old state', async () => {
  const old = await startBroker({ persistence: true });
  const kept = join(old.folder, 'state');
  const copy = join(scratch(), 'state');
  const host = (): Bridge => {
    const own = ['--host', 'web1', '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
    return new Bridge(['--broker', old.url, ...own, '--state', scratch()], web.enter);
  };
  const follows = ['--host', 'watcher', '--fleet', fleet.path, '--state', scratch()];
  const other = new Bridge(['--broker', old.url, ...follows], watching.enter);
  const first = host();
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 50);
  await reader.reaches(50);
  await sleep(3000); // the state of the quiet host is retained, and saved
  cpSync(kept, copy, { recursive: true });
  await first.stop();
  const second = host();
  await second.says(/connected/);
  await knows(fleet.path, 'web1');
  publish(local, 50, 100);
  await reader.reaches(100);
  second.process.kill('SIGSTOP');
  await old.stop('SIGKILL');
  cpSync(copy, kept, { recursive: true });
  await old.start();
  await other.says(/connected[^]*connected/);
  await sleep(300); // the retained state has come
  second.process.kill('SIGCONT');
  await second.says(/connected[^]*connected/);
  publish(local, 100, 150);
  await reader.reaches(150);
  assert.is(reader.lost, 0);
  reader.end();
  await Promise.all([second.stop(), other.stop()]);
  await old.stop();
});

tests.run();
