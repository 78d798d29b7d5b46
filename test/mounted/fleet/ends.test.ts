/** How a bridge ends, and what it finds when it starts again: its state, its socket, its mounts. */
import { type Socket, connect } from 'node:net';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Bridge, Reader, forgets, knows, publish, scratch } from '../../support/fleet/bridges.js';
import { Relay } from '../../support/fleet/relay.js';
import { broker, fleet, fleetSuite, local, web } from '../../support/fleet/suite.js';
import { eventfs } from '../../support/mount/command.js';
import { isMounted, run, startDaemon, until } from '../../support/mount/daemon.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { killDaemon, startGuarded } from '../guard/common.js';

const tests = fleetSuite('the end of a bridge');

interface Setting {
  readonly url?: string;
  readonly mount?: string;
  readonly filter?: string;
  readonly args?: readonly string[];
}

/** Starts a bridge that publishes as web1. */
function host(state: string, setting: Setting = {}): Bridge {
  const { url = broker.url, mount = local.path, filter = 'SUBSYSTEM==mine', args = [] } = setting;
  const own = ['--host', 'web1', '--mount', mount, '--publish', filter];
  return new Bridge(['--broker', url, ...own, '--state', state, ...args], web.enter);
}

/** Starts a bridge that follows. */
function follower(mount = fleet.path, ...args: readonly string[]): Bridge {
  const own = ['--host', 'watcher', '--fleet', mount, '--state', scratch(), ...args];
  return new Bridge(['--broker', broker.url, ...own], web.enter);
}

/** Waits until a bridge's status says that the broker has all local events except `count`. */
async function waits(state: string, count: number): Promise<void> {
  const pattern = new RegExp(`^waiting +${count} events`, 'm');
  await until(
    async () => pattern.test((await eventfs(['bridge', '--status', '--state', state])).out),
    `${count} events do not wait for the broker`,
  );
}

tests('keeps its state and its end to itself, whatever the clients of its socket do', async () => {
  const state = scratch();
  const one = host(state);
  await one.says(/connected/);
  const socket = await new Promise<Socket>((done) => {
    const client: Socket = connect(join(state, 'status.sock'), () => done(client));
    client.pause();
  });
  one.process.kill('SIGSTOP');
  const second = host(state);
  assert.is(await second.ended, 1);
  assert.match(second.log, /another bridge uses this state/);
  const { err } = await eventfs(['bridge', '--status', '--state', state]);
  assert.match(err, /the bridge does not answer/);
  one.process.kill('SIGCONT');
  const { out } = await eventfs(['bridge', '--status', '--state', state]);
  assert.match(out, /^bridge +web1, process/);
  publish(local, 0, 1);
  rmSync(state, { recursive: true });
  writeFileSync(state, 'no directory');
  assert.is(await one.stop(), 0, 'it ends, with a client that reads nothing and without its state');
  assert.match(one.log, /the state is not saved: .*Not a directory \(use --state DIR\)/);
  socket.destroy();
});

tests('leaves no host behind, also without the use of its name', async () => {
  const relay = await Relay.start(broker);
  const password = join(scratch(), 'password');
  writeFileSync(password, 'secret\n');
  const secret = ['--user', 'web1', '--password-file', password];
  const [one, other] = [host(scratch(), { url: relay.url, args: secret }), follower()];
  await knows(fleet.path, 'web1');
  rmSync(password);
  one.process.kill('SIGHUP');
  await one.says(/password: No such file .*; the bridge goes on with its present connection/);
  writeFileSync(password, 'secret\n');
  relay.order({ keepsQuestions: true });
  one.process.kill('SIGHUP');
  await one.says(/connected[^]*connected/);
  await sleep(100);
  assert.ok(readdirSync(fleet.path).includes('web1'), 'the broker knows it as online');
  assert.is(await one.stop(), 0);
  await forgets(fleet.path, 'web1', 5000);
  await other.stop();
  relay.stop();
});

tests('begins a session with a damaged state, and says so', async () => {
  for (const text of ['', 'null', '{"version":1', '{"version":1,"host":"web1","ended":[null]}']) {
    const state = scratch();
    writeFileSync(join(state, 'bridge.json'), text);
    const one = host(state);
    await one.says(/bridge\.json: it is damaged, so that a new session begins/);
    assert.is(await one.stop(), 0, one.log);
    const saved = JSON.parse(readFileSync(join(state, 'bridge.json'), 'utf8')) as object;
    assert.match(JSON.stringify(saved), /^{"version":1,"host":"web1",/);
    assert.equal(readdirSync(state), ['bridge.json'], 'the socket is gone');
  }
});

tests('ends after its last events, and has one directory in the mount', async () => {
  const state = scratch();
  const [one, other] = [host(state), follower()];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  broker.pause();
  publish(local, 0, 500);
  const ended = one.stop();
  setTimeout(() => broker.resume(), 500);
  assert.is(await ended, 0);
  await reader.reaches(500);
  const saved = JSON.parse(readFileSync(join(state, 'bridge.json'), 'utf8')) as {
    acknowledged: number;
    place: { name: string };
  };
  assert.is(saved.acknowledged, 500);
  // A place that no mount has: a new session. (Each number without a dot is a place.)
  saved.place.name = '4711.4711';
  writeFileSync(join(state, 'bridge.json'), JSON.stringify(saved));
  const next = host(state);
  await next.says(/connected/);
  const own = readdirSync(local.path).filter((name) => name.includes('.bridge'));
  assert.is(own.length, 1, own.join());
  await knows(fleet.path, 'web1');
  publish(local, 500, 510);
  await reader.reaches(510);
  assert.is(reader.lost, 0);
  reader.end();
  await Promise.all([next.stop(), other.stop()]);
});

tests('counts the events that a session had and the broker has not, exactly', async () => {
  const state = scratch();
  const relay = await Relay.start(broker);
  const [one, other] = [host(state, { url: relay.url }), follower()];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 10);
  await reader.reaches(10);
  // Also the broker's last acknowledgement is there: without it these 10 would count as waiting.
  await waits(state, 0);
  relay.stop();
  await one.says(/connects again/);
  publish(local, 10, 60);
  await waits(state, 50);
  await one.stop();
  // Another filter: the numbers of the session before mean other events.
  const next = host(state, { filter: 'SUBSYSTEM==mine|his' });
  await knows(fleet.path, 'web1');
  await next.says(/connected/);
  await reader.reaches(60);
  assert.is(reader.lost, 50);
  publish(local, 60, 70);
  await reader.reaches(70);
  reader.end();
  await Promise.all([next.stop(), other.stop()]);
});

tests('ends when a mount is unmounted under it, and makes no directory below', async () => {
  const own = await startDaemon(['--fleet']);
  const [one, other] = [host(scratch()), follower(own.path, '--keep-alive', '1')];
  await knows(own.path, 'web1');
  assert.is((await run(['umount', '-l', own.path])).code, 0);
  assert.is(await other.ended, 103);
  assert.match(other.log, /it is unmounted \(mount it again\)/);
  assert.not(existsSync(join(own.path, 'web1')));
  assert.not(isMounted(own.path));
  await one.stop();
  await own.ended;
});

tests('goes on over the restarts of guarded daemons, also with its session', async () => {
  const [from, to] = await Promise.all([startGuarded(), startGuarded(['--fleet'])]);
  const state = scratch();
  const [first, other] = [host(state, { mount: from.path }), follower(to.path)];
  let one = first;
  await knows(to.path, 'web1');
  const reader = await Reader.of(to, 'web1');
  publish(from, 0, 50);
  await reader.reaches(50);
  await killDaemon(from.path);
  publish(from, 50, 100);
  await reader.reaches(100);
  await killDaemon(to.path);
  publish(from, 100, 150);
  await reader.reaches(150);
  await one.stop();
  await killDaemon(from.path);
  publish(from, 150, 200);
  one = host(state, { mount: from.path });
  await reader.reaches(200);
  assert.is(reader.lost, 0);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
  await forgets(to.path, 'web1');
  await Promise.all([from.stop(), to.stop()]);
});

tests.run();
