/**
 * Brokers with each limit that MQTT 5 knows: the bridge keeps to it, does without, or names it in
 * one line. `--check` finds the same.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import {
  Bridge,
  Reader,
  endFleet,
  knows,
  onMachine,
  publish,
  scratch,
} from '../../../support/fleet/bridges.js';
import {
  type Announced,
  type BrokerTraits,
  ScriptedBroker,
} from '../../../support/fleet/scripted-broker.js';
import { eventfs } from '../../../support/mount/command.js';
import { type Daemon, startDaemon, until } from '../../../support/mount/daemon.js';
import { suite } from '../../../support/runner/suite.js';

const tests = suite('a bridge whose broker has limits');

const KEEP_ALIVE = ['--keep-alive', '2'];
const EVENTS = 300;

let local: Daemon;
let fleet: Daemon;

tests.before(async () => {
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(async () => {
  ScriptedBroker.stopAll();
  await endFleet(local, fleet);
});

/** A broker's address. */
type Addressed = Pick<ScriptedBroker, 'url'>;

function out({ url }: Addressed, name: string): string[] {
  const own = ['--host', name, '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
  return ['--broker', url, ...own, '--state', scratch()];
}

function follower({ url }: ScriptedBroker): string[] {
  return ['--broker', url, '--host', 'watcher', '--fleet', fleet.path, '--state', scratch()];
}

/** Returns the lines of `--check` about the broker. */
async function check(broker: Addressed): Promise<{ lines: string; code: number | null }> {
  const { out: text, code } = await eventfs(['bridge', '--check', ...out(broker, 'web1')]);
  return {
    lines: text.replace(/^.*(eventfs is mounted|this user can|the state can).*\n/gm, ''),
    code,
  };
}

/** Announcements of a broker that a bridge can work with. */
const KEPT: Readonly<Record<string, Announced>> = {
  'one message at a time': { receiveMaximum: 1 },
  'small packets': { maximumPacketSize: 1536 },
  'a keep-alive time of its own': { serverKeepAlive: 1 },
  'names, sessions, aliases and no shared subscriptions': {
    assignedClientIdentifier: 'another',
    sessionExpiryInterval: 600,
    topicAliasMaximum: 16,
    maximumQoS: 1,
    sharedSubscriptionAvailable: false,
    subscriptionIdentifiersAvailable: false,
    wildcardSubscriptionAvailable: true,
    retainAvailable: true,
    reasonString: 'welcome',
    responseInformation: 'x',
    serverReference: 'elsewhere',
    userProperties: { a: ['b', 'c'] },
  },
};

for (const [name, announces] of Object.entries(KEPT))
  tests(`keeps to ${name}`, async () => {
    const broker = await ScriptedBroker.start({ announces });
    const checked = await check(broker);
    assert.is(checked.code, 0, checked.lines);
    assert.not.match(checked.lines, /fail|retained/);
    const [one, other] = [new Bridge(out(broker, 'web1')), new Bridge(follower(broker))];
    await knows(fleet.path, 'web1');
    const reader = await Reader.of(fleet, 'web1');
    publish(local, 0, EVENTS);
    await reader.reaches(EVENTS);
    assert.is(reader.lost, 0);
    // Longer than a keep-alive time without a word.
    if (announces.serverKeepAlive !== undefined) await sleep(2500);
    assert.equal([...new Set(broker.breaches)], []);
    reader.end();
    for (const bridge of [one, other]) {
      assert.is(await bridge.stop(), 0);
      assert.is(bridge.log.split('\n').length, 2, bridge.log);
    }
    // The state of each is retained, and nothing else.
    assert.equal([...broker.retained.keys()].sort(), [
      'eventfs/1/watcher/state',
      'eventfs/1/web1/state',
    ]);
    broker.stop();
  });

/** Announcements that a bridge leaves a broker for, and the reason in its log. */
const REFUSED: readonly (readonly [Announced, string])[] = [
  [{ retainAvailable: false }, 'Retain not supported (use a broker that keeps retained messages)'],
  [{ maximumQoS: 0 }, 'QoS not supported (use a broker with QoS 1)'],
  [{ wildcardSubscriptionAvailable: false }, 'Wildcard subscriptions not supported (use a broker'],
  [{ maximumPacketSize: 100 }, 'it takes packets of 100 bytes only (raise that to 1536 at least)'],
];

tests('leaves a broker that lacks what it needs, with a line that says what', async () => {
  for (const [announces, words] of REFUSED) {
    const broker = await ScriptedBroker.start({ announces });
    const { lines, code } = await check(broker);
    assert.is(code, 1);
    assert.match(lines, `fail  ${broker.url}: the broker does not fit: ${words}`);
    assert.is(lines.split('\n').length, 2, lines);
    const one = new Bridge(out(broker, 'web1'));
    await one.says(/; the bridge connects again\n/);
    assert.is(await one.stop(), 0);
    assert.match(one.log, `the broker does not fit: ${words}`);
    assert.is(one.log.split('\n').length, 2, one.log);
    broker.stop();
  }
});

tests('finds the hosts of a broker that retains nothing for wildcards, as RabbitMQ', async () => {
  const broker = await ScriptedBroker.start({ retainsForNames: true });
  const { lines, code } = await check(broker);
  assert.is(code, 0);
  assert.match(lines, /^warn {2}\S+: subscriptions with wildcards get no retained messages/m);
  const one = new Bridge([...out(broker, 'web1'), ...KEEP_ALIVE]);
  await one.says(/subscriptions with wildcards get no retained messages/);
  await until(() => broker.retained.has('eventfs/1/web1/state'), 'the host is not online');
  const other = new Bridge([...follower(broker), ...KEEP_ALIVE]);
  await knows(fleet.path, 'web1');
  await other.says(/subscriptions with wildcards/);
  await Promise.all([one.stop(), other.stop()]);
  for (const { log } of [one, other]) assert.is(log.match(/with wildcards/g)?.length, 1, log);
  broker.stop();
});

tests('leaves a name to its living host on such a broker, also as a follower', async () => {
  const broker = await ScriptedBroker.start({ retainsForNames: true });
  // One of two machines has the smaller id, and is the first one in one of two orders.
  for (const [first, second] of ['ab', 'ba']) {
    const name = `name-${first}`;
    const start = (id: string): Bridge =>
      new Bridge([...out(broker, name), '--fleet', fleet.path, ...KEEP_ALIVE], onMachine(id));
    const one = start(first);
    await until(() => broker.retained.has(`eventfs/1/${name}/state`), `${name} is not online`);
    const two = start(second);
    await two.says(/belongs to another machine, \w+, which is online/);
    assert.not.match(one.log, /another machine/);
    await Promise.all([one.stop(), two.stop()]);
  }
  broker.stop();
});

tests('waits for retained messages that come late', async () => {
  const broker = await ScriptedBroker.start({ retainedMs: 500 });
  const { lines, code } = await check(broker);
  assert.is(code, 0);
  assert.not.match(lines, /retained/);
  broker.stop();
});

/** Traits of which a broker says nothing, and the words of `--check`. */
const SILENT: readonly (readonly [BrokerTraits, RegExp])[] = [
  [{ dropsProperties: true }, /^fail {2}\S+: this broker drops user properties/m],
  [{ hasNoWills: true }, /^fail {2}\S+: the will of web1 does not come, so that its death/m],
  [
    { hidesOwn: true },
    /^fail {2}the topics of web1: its messages to itself do not come back \(let/m,
  ],
];

tests('is told by --check what a broker does without a word', async () => {
  await Promise.all(
    SILENT.map(async ([traits, words]) => {
      const broker = await ScriptedBroker.start(traits);
      const { lines, code } = await check(broker);
      assert.is(code, 1, lines);
      assert.match(lines, words);
      broker.stop();
    }),
  );
});

tests('says that a broker drops user properties', async () => {
  const broker = await ScriptedBroker.start({ dropsProperties: true });
  const one = new Bridge(out(broker, 'web1'));
  await one.says(/this broker drops user properties, so no host can read the events of others/);
  await one.stop();
  broker.stop();
});

tests('is told by --check that a broker closes connections of MQTT 5, and has 3.1.1', async () => {
  const level = '00044d515454'.length / 2 + 2;
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .once('data', (bytes) =>
        bytes[level] === 4 ? socket.write(Buffer.from('20020005', 'hex')) : socket.destroy(),
      ),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { lines, code } = await check({ url });
  assert.is(code, 1);
  assert.is(lines, `fail  ${url}: Unsupported protocol version (use a broker with MQTT 5)\n`);
  server.close();
});

tests.run();
