/**
 * Brokers that refuse or bound messages, with Debian's mosquitto: each event comes or is counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import * as assert from 'uvu/assert';
import { Bridge, Reader, knows, publish, scratch, endFleet } from '../../support/fleet/bridges.js';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, cut, restore, startHost } from '../../support/fleet/network.js';
import { Relay } from '../../support/fleet/relay.js';
import { type Daemon, run, startDaemon, until } from '../../support/mount/daemon.js';
import { eventfs } from '../../support/mount/command.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('a bridge whose broker refuses');

let local: Daemon;
let fleet: Daemon;
let broker: Broker;
let web: Host;
let watching: Host;

tests.before(async () => {
  broker = await startBroker();
  [web, watching] = [await startHost('web'), await startHost('watching')];
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(() => endFleet(local, fleet));

function host(url: string, state = scratch(), ...args: readonly string[]): Bridge {
  const own = ['--host', 'web1', '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
  return new Bridge(['--broker', url, ...own, '--state', state, ...args], web.enter);
}

function follower(url: string, ...args: readonly string[]): Bridge {
  const own = ['--host', 'watcher', '--fleet', fleet.path, '--state', scratch()];
  return new Bridge(['--broker', url, ...own, ...args], watching.enter);
}

/** Publishes one event with this number and this many bytes more. */
function publishLarge(number: number, bytes: number): void {
  const text = `change@/n\nSUBSYSTEM=mine\nX=${'x'.repeat(bytes)}\nN=${number}\n\n`;
  writeFileSync(`${local.path}/publish`, text);
}

tests('sends smaller messages, and counts an event that is too large for the broker', async () => {
  const small = await startBroker({ lines: ['message_size_limit 3000'] });
  const [one, other] = [host(small.url), follower(small.url)];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 200);
  await reader.reaches(200);
  assert.is(reader.lost, 0, 'each event alone is small enough');
  publishLarge(200, 5000);
  publishLarge(201, 2000);
  publish(local, 202, 300);
  await reader.reaches(300);
  assert.is(reader.lost, 1);
  assert.not.match(one.log, /connects again/);
  assert.match(one.log, /refuses a message: Packet too large/);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
  await small.stop();
});

tests('sends events again that a quota of the broker refuses, and stays connected', async () => {
  const relay = await Relay.start(broker, { refuse: { code: 0x97, count: 2 } });
  const state = scratch();
  const [one, other] = [host(relay.url, state, '--batch', '10'), follower(broker.url)];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 100);
  await reader.reaches(100);
  assert.is(reader.lost, 0);
  assert.is((await relay.report()).refused, 2);
  const words = ['bridge', '--status', '--state', state];
  const status = await until(async () => {
    const { out } = await eventfs(words);
    return /^waiting +0 events/m.test(out) ? out : '';
  }, 'the broker does not get the events');
  // At least ten messages, and two once more: a follower that asks has the events before that.
  assert.ok(Number(/ in (\d+) messages$/m.exec(status)![1]) >= 12, status);
  assert.not.match(one.log, /connects again/);
  assert.is(one.log.match(/refuses a message: Quota exceeded/g)?.length, 1, one.log);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
  relay.stop();
});

tests('asks for the events that a broker does not let it read, and stays connected', async () => {
  const relay = await Relay.start(broker, { refusesSubscriptions: true });
  const [one, other] = [host(broker.url), follower(relay.url)];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 100);
  await reader.reaches(100);
  assert.is(reader.lost, 0);
  assert.not.match(other.log, /connects again/);
  assert.match(other.log, /refuses the events of other hosts: Not authorized/);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
  relay.stop();
});

tests('has no more messages in flight than the broker allows', async () => {
  const relay = await Relay.start(broker, { receiveMaximum: 2 });
  const [one, other] = [host(relay.url, undefined, '--batch', '5'), follower(relay.url)];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  for (let n = 0; n < 5; n++) {
    publish(local, n * 100, (n + 1) * 100);
    // The state is published now and then, while events wait.
    await sleep(500);
  }
  await reader.reaches(500);
  assert.is((await relay.report()).mostInFlight, 2);
  reader.end();
  await Promise.all([one.stop(), other.stop()]);
  relay.stop();
});

tests('brings no event twice after a death between a message and its answer', async () => {
  const relay = await Relay.start(broker, { keepsAcknowledgements: true });
  const state = scratch();
  const [one, other] = [host(relay.url, state), follower(broker.url)];
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  publish(local, 0, 100);
  await reader.reaches(100);
  await one.stop('SIGKILL');
  publish(local, 100, 150);
  const next = host(broker.url, state);
  await reader.reaches(150);
  assert.is(reader.lost, 0);
  reader.end();
  await Promise.all([next.stop(), other.stop()]);
  relay.stop();
});

tests('subscribes to many hosts in packets that the broker takes', async () => {
  const small = await startBroker({ lines: ['max_packet_size 2000'] });
  const states = Array.from({ length: 200 }, (_, n) => {
    const state = { online: true, session: 'x-1', machine: 'e', first: 1, next: 1 };
    return `mosquitto_pub ${small.clientArguments.join(' ')} -q 1 -r -t eventfs/1/many-hosts-${n}/state -m '${JSON.stringify(state)}'`;
  });
  await run([...web.enter, 'sh', '-c', states.join(' & ') + ' & wait']);
  const other = follower(small.url);
  await knows(fleet.path, 'many-hosts-0', 'many-hosts-199');
  const event = ['-D', 'publish', 'user-property', 'session', 'x-1'];
  for (const [key, value] of [
    ['seq', '1'],
    ['count', '1'],
  ])
    event.push('-D', 'publish', 'user-property', key, value);
  const words = [
    'mosquitto_pub',
    ...small.clientArguments,
    ...event,
    '-q',
    '1',
    '-m',
    'add@/x\n\n',
  ];
  for (const name of ['many-hosts-0', 'many-hosts-199'])
    await run([...web.enter, ...words, '-t', `eventfs/1/${name}/event`]);
  for (const name of ['many-hosts-0', 'many-hosts-199'])
    await until(
      () => run(['cat', `${fleet.path}/${name}/head`]).then(({ code }) => code === 0),
      `no event of ${name}`,
    );
  assert.not.match(other.log, /connects again/);
  await other.stop();
  await small.stop();
});

/** The bytes of a broker's answer to CONNECT, and what the bridge says of them. */
const ANSWERS = [
  ['20020001', 'the broker refuses: Unacceptable protocol version (use a broker with MQTT 5)'],
  ['2003008600', 'the broker refuses: Bad user name or password (check --user'],
  ['2003009c00', 'the broker refuses: Use another server (name it by --broker)'],
  ['20030000002003000000', 'the broker accepts the connection twice'],
  ['2003000000e0028b00', 'the broker ends the connection: Server shutting down'],
  ['2003000000e000', 'the broker ends the connection: Normal disconnection'],
  ['2003000000ff00', 'malformed packet: '],
] as const;

/** Runs a bridge whose broker answers CONNECT with these bytes, until it connects again. */
async function answer(bytes: string, words: string): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.write(Buffer.from(bytes, 'hex')));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const own = ['--host', 'x', '--fleet', fleet.path, '--state', scratch()];
  const one = new Bridge(['--broker', url, ...own]);
  await one.says(/; the bridge connects again\n/);
  assert.match(one.log, words);
  await one.stop();
  server.close();
}

tests('says what each answer of a broker means, and connects again', async () => {
  await Promise.all(ANSWERS.map(([bytes, words]) => answer(bytes, words)));
});

tests(
  'begins each connection with its first packet, also while hosts end without one',
  async () => {
    const relay = await Relay.start(broker);
    const one = host(broker.url, undefined, '--keep-alive', '1');
    const other = follower(relay.url, '--keep-alive', '1');
    await knows(fleet.path, 'web1');
    await cut(watching);
    await other.says(/does not answer/);
    // A connection waits for the network when the hosts are gone.
    await until(
      () => run(['ls', fleet.path]).then(({ out }) => !out.includes('web1')),
      'the host stays',
      10_000,
    );
    await sleep(100);
    await restore(watching);
    await knows(fleet.path, 'web1');
    const { firstPackets } = await relay.report();
    assert.ok(firstPackets.length >= 2);
    assert.ok(
      firstPackets.every((packet) => packet === 'connect'),
      firstPackets.join(),
    );
    await Promise.all([one.stop(), other.stop()]);
    relay.stop();
  },
  40_000,
);

tests.run();
