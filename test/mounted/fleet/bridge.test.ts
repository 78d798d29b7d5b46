/** `eventfs bridge` between two mounts, with Debian's mosquitto. */
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Watcher } from '../../support/clients/watcher.js';
import { killClients } from '../../support/clients/clients.js';
import { isSystemError } from '../../../fs/shared/errors.js';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import { eventfs } from '../../support/mount/command.js';
import { type Daemon, run, startDaemon, until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import {
  Bridge,
  PATIENCE_MS,
  Reader,
  forgets,
  knows,
  onMachine,
  publish,
  scratch,
  endFleet,
} from '../../support/fleet/bridges.js';

const tests = suite('eventfs bridge');

/** Registers a test that begins without the clients and bridges of a test that failed. */
function bridge(sentence: string, body: () => Promise<void>, timeoutMs?: number): void {
  const alone = async (): Promise<void> => {
    await killClients();
    await Bridge.killAll();
    await body();
  };
  tests(sentence, alone, timeoutMs);
}

let local: Daemon;
let fleet: Daemon;
let broker: Broker;
/** The machines that publish and that follow. */
let web: Host;
let watching: Host;

tests.before(async () => {
  broker = await startBroker({ lines: ['max_queued_messages 50'] });
  [web, watching] = [await startHost('web'), await startHost('watching')];
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(() => endFleet(local, fleet));

/** Starts a bridge that publishes the local mount as a host. */
function host(name: string, args: readonly string[] = [], under: readonly string[] = []): Bridge {
  const own = ['--host', name, '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
  const whole = ['--broker', broker.url, ...own, '--state', scratch(), ...args];
  return new Bridge(whole, [...web.enter, ...under]);
}

/** Starts a bridge that follows hosts. */
function follower(...args: readonly string[]): Bridge {
  const own = ['--host', 'watcher', '--fleet', fleet.path, '--subscribe', 'web*'];
  const whole = ['--broker', broker.url, ...own, '--state', scratch(), ...args];
  return new Bridge(whole, watching.enter);
}

bridge('brings the events of other hosts, with HOST, into a directory of each', async () => {
  const [one, two, other] = [host('web1'), host('db1'), follower()];
  await knows(fleet.path, 'web1');
  assert.not.ok(readdirSync(fleet.path).includes('db1'), 'it does not match');
  publish(local, 0, 1, 'other');
  publish(local, 0, 2);
  const head = await until(() => {
    try {
      return readFileSync(`${fleet.path}/web1/head`, 'utf8');
    } catch {
      return '';
    }
  }, 'no event came');
  assert.is(head, 'change@/n/0\nACTION=change\nDEVPATH=/n/0\nSUBSYSTEM=mine\nN=0\nHOST=web1\n');
  await until(() => readdirSync(`${fleet.path}/web1`).length === 2, 'the second is missing');
  assert.is(readFileSync(`${fleet.path}/web1/.filter`, 'utf8'), 'HOST==web1\n');
  for (const each of [one, two, other]) assert.is(await each.stop(), 0);
  assert.equal(readdirSync(fleet.path), ['log', 'match', 'publish']);
  assert.equal(readdirSync(local.path), ['log', 'match', 'publish']);
});

bridge("ends a host's directory when its bridge is killed, as its owner's death does", async () => {
  const [one, other] = [host('web1'), follower()];
  await knows(fleet.path, 'web1');
  publish(local, 0, 3);
  await until(() => readdirSync(`${fleet.path}/web1`).length === 3, 'the events are missing');
  const watcher = await Watcher.inotifywait(fleet.path, 'delete');
  const fd = openSync(`${fleet.path}/web1/head`, 'r');
  const stream = openSync(`${fleet.path}/web1/.stream`, 'r');
  await one.stop('SIGKILL');
  await forgets(fleet.path, 'web1', 5000);
  for (const each of [fd, stream]) {
    assert.throws(
      () => readSync(each, Buffer.alloc(10)),
      (error: unknown) => isSystemError(error) && error.errno === -constants.errno.ESTALE,
    );
    closeSync(each);
  }
  await watcher.says(/DELETE.*web1/);
  await watcher.end();
  await other.stop();
});

bridge('leaves no directory when the bridge that follows is killed', async () => {
  const [one, other] = [host('web1'), follower()];
  await knows(fleet.path, 'web1');
  await other.stop('SIGKILL');
  await until(() => readdirSync(fleet.path).length === 3, 'a directory is left');
  await one.stop();
});

bridge('counts or brings again each event that the broker drops', async () => {
  const [one, other] = [host('web1', ['--batch', '2']), follower()];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 10);
  await reader.reaches(10);
  other.process.kill('SIGSTOP'); // the broker keeps 50 messages and drops the others
  publish(local, 10, 3000);
  await sleep(1500);
  other.process.kill('SIGCONT');
  await reader.reaches(3000);
  assert.is(reader.lost, 0, 'the host has all of them');
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
});

bridge(
  'survives its broker, and brings the events of the time without it',
  async () => {
    const [one, other] = [host('web1', ['--history', '1']), follower('--keep-alive', '1')];
    await knows(fleet.path, 'web1');
    const reader = await Reader.of(fleet, 'web1');
    publish(local, 0, 10);
    await reader.reaches(10);
    broker.pause(); // the kernel accepts connections, and no answer comes
    publish(local, 10, 2000);
    await other.says(/does not answer/);
    await forgets(fleet.path, 'web1'); // it is not known whether the host is there
    await broker.stop('SIGKILL');
    await broker.start();
    await knows(fleet.path, 'web1');
    await reader.reaches(2000);
    assert.is(reader.lost, 0);
    // More than the history has.
    await broker.stop();
    publish(local, 2000, 12_000);
    await broker.start();
    await reader.reaches(12_000);
    assert.ok(reader.lost > 0, 'the history is bounded');
    reader.end();
    await Promise.all([one.stop(), other.stop()]);
  },
  90_000,
);

bridge(
  'refuses a name that a living host has, and takes it when that host is gone',
  async () => {
    const [one, other] = [host('web1', ['--keep-alive', '2']), follower()];
    await knows(fleet.path, 'web1');
    const two = host('web1', ['--keep-alive', '2'], onMachine('a'));
    await two.says(/web1 belongs to another machine, \w+, which is online \(use another --host/);
    assert.not.match(one.log, /connects again/, 'the host keeps its connection');
    await two.stop();
    // A will that no broker has sent: the retained state says online for ever.
    await one.stop();
    const state = `{"online":true,"session":"dead-1","connection":1,"machine":"ff","first":1,"next":9}`;
    const topic = 'eventfs/1/web1/state';
    const { code } = await run([
      ...[...web.enter, 'mosquitto_pub', ...broker.clientArguments],
      ...['-r', '-q', '1', '-t', topic, '-m', state],
    ]);
    assert.is(code, 0);
    const three = host('web1', ['--keep-alive', '1'], onMachine('b'));
    await three.says(/connected/);
    await until(
      async () => {
        publish(local, 0, 1);
        await sleep(300);
        return readdirSync(`${fleet.path}/web1`).length > 0;
      },
      'the host does not get its name',
      PATIENCE_MS,
    );
    assert.not.match(three.log, /belongs to another/);
    await Promise.all([three.stop(), other.stop()]);
  },
  60_000,
);

bridge('ends with 103 when the daemon of a mount ends, and says so', async () => {
  const own = await startDaemon();
  const one = new Bridge(
    ['--broker', broker.url, '--host', 'web9', '--fleet', own.path, '--state', scratch()],
    web.enter,
  );
  await knows(own.path, 'web9');
  await own.stop();
  const three = host('web1');
  assert.is(await one.ended, 103);
  assert.match(one.log, /its daemon has ended/);
  await three.stop();
});

bridge('explains wrong options', async () => {
  const fails = async (pattern: RegExp, ...args: readonly string[]): Promise<void> => {
    const { err, code } = await eventfs(['bridge', ...args]);
    assert.match(err, pattern);
    assert.is(code, 100);
    assert.is(err.trim().split('\n').length, 1, err);
  };
  const out = ['--publish', ''];
  await fails(/--broker is missing/, ...out);
  await fails(/it is no address/, '--broker', 'http://x', ...out);
  await fails(/every user can read a command line/, '--broker', 'mqtt://a:b@x', ...out);
  await fails(/nothing to do/, '--broker', 'mqtt://localhost', '--host', 'a');
  await fails(/would name a process/, '--broker', 'mqtt://localhost', '--host', '4711', ...out);
  await fails(
    /no pattern/,
    '--broker',
    'mqtt://localhost',
    '--host',
    'a',
    '--fleet',
    'x',
    '--subscribe',
    'a, b',
  );
  await fails(
    /certificates need TLS/,
    '--broker',
    'mqtt://localhost',
    '--host',
    'a',
    '--ca',
    'x',
    ...out,
  );
});

tests.run();
