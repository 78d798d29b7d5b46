/** Users, certificates, hostile messages, and the reports of `eventfs bridge`. */
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import {
  type Daemon,
  EVENTFS_NODE,
  PROJECT,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import {
  Bridge,
  PATIENCE_MS,
  forgets,
  knows,
  publish,
  scratch,
  endFleet,
} from '../../support/fleet/bridges.js';

const tests = suite('the security of a fleet');

let local: Daemon;
let fleet: Daemon;
let web: Host;

/** The ACL of docs/recipes/fleet.md. */
const ACL = /```text acl\n([^]*?)```/.exec(
  readFileSync(join(PROJECT, 'docs/recipes/fleet.md'), 'utf8'),
)![1];

tests.before(async () => {
  web = await startHost('web');
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(() => endFleet(local, fleet));

function secret(text: string): string {
  const file = join(scratch(), 'password');
  writeFileSync(file, `${text}\n`, { mode: 0o600 });
  return file;
}

/** Starts a bridge that publishes and follows. */
function bridge(broker: Broker, host: string, ...args: readonly string[]): Bridge {
  const own = ['--mount', local.path, '--publish', '', '--fleet', fleet.path];
  const whole = ['--broker', broker.url, '--host', host, ...own, '--state', scratch(), ...args];
  return new Bridge(whole, web.enter);
}

/** Publishes as a program of the attacker. */
async function attack(broker: Broker, topic: string, ...more: readonly string[]): Promise<string> {
  const command = ['mosquitto_pub', ...broker.clientArguments, '-q', '1', '-t', topic, ...more];
  const { err } = await run([...web.enter, ...command]);
  return err;
}

tests('lets a host write its own topics only, wills included', async () => {
  const users = { web1: 'secret', evil: 'hidden' };
  const broker = await startBroker({ acl: ACL, users });
  const password = ['--user', 'web1', '--password-file', secret('secret')];
  const wrong = bridge(broker, 'web1', '--user', 'web1', '--password-file', secret('wrong'));
  await wrong.says(/Bad user name or password|Not authorized/);
  assert.is(await wrong.stop(), 0);
  const foreign = bridge(broker, 'web2', ...password);
  await foreign.says(/refuses eventfs\/1\/web2\/\S+: Not authorized/);
  await foreign.stop();
  const one = bridge(broker, 'web1', ...password);
  await knows(fleet.path, 'web1');
  const evil = ['-u', 'evil', '-P', 'hidden', '-V', 'mqttv5'];
  const dead = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
  const state = JSON.stringify({
    online: false,
    session: `${dead}-9`,
    connection: 99,
    machine: 'e',
  });
  for (const topic of ['web1/state', 'web1/event', 'web1/answer/web1', 'web1/ask/web1'])
    await attack(broker, `eventfs/1/${topic}`, '-r', '-m', state, ...evil);
  const will = ['--will-topic', 'eventfs/1/web1/state', '--will-payload', state, '--will-retain'];
  const dying = [...web.enter, 'timeout', '-s', 'KILL', '1', 'mosquitto_sub'];
  await run([...dying, ...broker.clientArguments, '-t', 'x', ...will, ...evil]);
  // The attacker's own topics carry no other host's name.
  await attack(broker, 'eventfs/1/evil/state', '-r', '-m', state, ...evil);
  publish(local, 0, 1);
  await until(() => readdirSync(`${fleet.path}/web1`).length === 1, 'the event is missing');
  const reader = ['mosquitto_sub', ...broker.clientArguments, '-u', 'web1', '-P', 'secret'];
  const { out } = await run([...web.enter, ...reader, '-t', 'eventfs/1/web1/state', '-C', '1']);
  assert.match(out, /"online":true/);
  const ps = await run(['ps', '-o', 'args=', '-p', String(one.process.pid)]);
  assert.match(ps.out, ' --password-file ');
  assert.not.match(ps.out, 'secret');
  await one.stop();
  await broker.stop();
});

tests('needs certificates of its own authority where the broker asks for them', async () => {
  const broker = await startBroker({ acl: ACL, tls: 'client' });
  const { certificate, key } = await broker.certificate('web1');
  const ca = ['--ca', broker.authority!.certificate];
  const unknown = bridge(broker, 'web1', '--cert', certificate, '--key', key);
  await unknown.says(/self.signed certificate|unable to (verify|get)/);
  await unknown.stop();
  const bare = bridge(broker, 'web1', ...ca);
  await bare.says(/connects again/);
  assert.is(readdirSync(fleet.path).length, 3);
  await bare.stop();
  const one = bridge(broker, 'web1', ...ca, '--cert', certificate, '--key', key);
  await knows(fleet.path, 'web1');
  publish(local, 0, 1);
  await until(() => readdirSync(`${fleet.path}/web1`).length === 1, 'the event is missing');
  await one.stop();
  await broker.stop();
});

tests('keeps hostile names and payloads out of the mount', async () => {
  const broker = await startBroker();
  const metrics = join(scratch(), 'bridge.prom');
  const state = scratch();
  const one = bridge(broker, 'web1', '--metrics', metrics, '--state', state, '--keep-alive', '1');
  await knows(fleet.path, 'web1');
  const online = (session = 'x-1'): string =>
    JSON.stringify({ online: true, session, machine: 'e', first: 1, next: 1 });
  for (const name of ['log', '..', '4711', '1.x', 'a b', 'x'.repeat(200), '\u0001x'])
    await attack(broker, `eventfs/1/${name}/state`, '-r', '-m', online());
  await attack(broker, 'eventfs/1/web3/state', '-m', '{"online":true');
  await attack(broker, 'eventfs/1/web4/state', '-m', online('../../x'));
  assert.equal(readdirSync(fleet.path).sort(), ['log', 'match', 'publish', 'web1']);
  await attack(broker, 'eventfs/1/evil/state', '-r', '-m', online());
  await knows(fleet.path, 'evil');
  const large = join(scratch(), 'large');
  writeFileSync(large, `add@/x\nA=${'x'.repeat(100_000)}\n\n`);
  const as = (seq: number, count = 1): string[] =>
    ['session', 'x-1', 'seq', String(seq), 'count', String(count)].flatMap((each, at) =>
      at % 2 === 0 ? ['-D', 'publish', 'user-property', each] : [each],
    );
  await attack(broker, 'eventfs/1/evil/event', ...as(1), '-f', large);
  await attack(
    broker,
    'eventfs/1/evil/event',
    ...as(1),
    '-m',
    'add@/../../etc\nA=1\nHOST=web1\n\n',
  );
  await attack(broker, 'eventfs/1/evil/event', ...as(2), '-m', 'add@/ok\nA=1\nHOST=web1\n\n');
  await attack(broker, 'eventfs/1/evil/event', ...as(3, 2), '-m', 'add@/no\n\n');
  await until(() => readdirSync(`${fleet.path}/evil`).length >= 2, 'nothing came', PATIENCE_MS);
  const texts = readdirSync(`${fleet.path}/evil`).map((name) =>
    readFileSync(`${fleet.path}/evil/${name}`, 'utf8'),
  );
  assert.match(texts[0], /^overflow@\/eventfs\n[^]*\nLOST=1\nHOST=evil\n$/);
  assert.is(texts[1], 'add@/ok\nA=1\nHOST=evil\n');
  const status = await run([...EVENTFS_NODE, 'bridge', '--status', '--state', state]);
  assert.match(status.out, /^hosts +2 online of 2 known/m);
  assert.match(status.out, /^refused +0 writes by the mount, [1-9]\d* malformed messages?$/m);
  await until(() => /malformed_messages_total [1-9]/.test(readFileSync(metrics, 'utf8')), metrics);
  const checked = await run(['promtool', 'check', 'metrics'], { input: readFileSync(metrics) });
  assert.is(checked.code, 0, checked.err);
  assert.is(statSync(join(state, 'bridge.json')).mode & 0o777, 0o600);
  const second = bridge(broker, 'web5', '--state', state);
  assert.is(await second.ended, 1);
  assert.match(second.log, /another bridge uses this state/);
  await one.stop();
  await forgets(fleet.path, 'evil');
  await broker.stop();
});

tests('is checked before a start', async () => {
  const broker = await startBroker();
  const check = (...args: readonly string[]): ReturnType<typeof run> =>
    run([
      ...[...web.enter, ...EVENTFS_NODE, 'bridge', '--check', '--broker', broker.url],
      ...['--host', 'web1', '--publish', '', '--mount', local.path, '--state', scratch(), ...args],
    ]);
  const good = await check('--fleet', fleet.path);
  assert.is(good.code, 0, good.out);
  assert.match(good.out, /^warn {2}the topics of other hosts: this host can write them too/m);
  await broker.stop();
  const bad = await check('--fleet', '/');
  assert.is(bad.code, 1);
  assert.match(bad.out, /^fail {2}\/: eventfs is not mounted here/m);
  assert.match(bad.out, /^fail {2}mqtt:\/\/\S+: Connection refused \(start the broker, or check /m);
});

tests.run();
