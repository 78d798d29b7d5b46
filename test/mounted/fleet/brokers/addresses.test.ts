/** Names of brokers that have several addresses, of which some do not answer, or no address. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import * as assert from 'uvu/assert';
import { Bridge, endFleet, scratch, withFile } from '../../../support/fleet/bridges.js';
import { startBroker } from '../../../support/fleet/broker.js';
import { delay, startHost } from '../../../support/fleet/network.js';
import { ScriptedBroker } from '../../../support/fleet/scripted-broker.js';
import {
  EVENTFS_NODE,
  type Daemon,
  run,
  startDaemon,
  within,
} from '../../../support/mount/daemon.js';
import { suite } from '../../../support/runner/suite.js';

const tests = suite('a bridge whose broker has a name');

const NAME = 'broker.test';
/** The time of one connection, and of the pause behind it. */
const CONNECTION_MS = 12_000;

let fleet: Daemon;

tests.before(async () => {
  fleet = await startDaemon(['--fleet']);
});

tests.after(async () => {
  ScriptedBroker.stopAll();
  await endFleet(fleet);
});

function options(port: number | string): string[] {
  const own = ['--host', 'web1', '--fleet', fleet.path, '--state', scratch()];
  return ['--broker', `mqtt://${NAME}:${port}`, ...own];
}

tests('comes to the address that answers, also on a slow network', async () => {
  const [broker, web] = [await startBroker(), await startHost('slow')];
  const address = ['address', 'add', 'fd00:99::2/64', 'dev', 'eth0', 'nodad'];
  assert.is((await run(['ip', '-n', web.namespace, ...address])).code, 0);
  await delay(web, 600); // where the kernel has netem
  // Nothing has the first two addresses.
  const hosts = ['fd00:99::dead', '10.99.0.250', broker.address, 'fd00:99::beef'];
  const text = hosts.map((each) => `${each} ${NAME}\n`).join('');
  const one = new Bridge(options(broker.port), [...web.enter, ...withFile('/etc/hosts', text)]);
  await one.says(/connected to/, CONNECTION_MS);
  assert.not.match(one.log, /connects again/);
  assert.is(await one.stop(), 0);
  await broker.stop();
});

tests(
  'leaves an address that accepts connections and never answers',
  async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const broker = await ScriptedBroker.start({}, '127.0.0.2', port);
    const hosts = withFile('/etc/hosts', `127.0.0.1 ${NAME}\n127.0.0.2 ${NAME}\n`);
    const one = new Bridge(options(port), hosts);
    await one.says(/connected to/, 2 * CONNECTION_MS);
    assert.match(
      one.log,
      /no word of MQTT within 10 s of a connection \(check that the broker runs/,
    );
    assert.is(await one.stop(), 0);
    broker.stop();
    silent.close();
  },
  40_000,
);

tests(
  'ends, and --check too, while the resolver does not answer',
  async () => {
    const resolver = createSocket('udp4').bind(53, '127.66.0.1');
    await once(resolver, 'listening');
    const file = 'nameserver 127.66.0.1\noptions timeout:30 attempts:5\n';
    const under = withFile('/etc/resolv.conf', file);
    const one = new Bridge(options(1883), under);
    const check = [...under, ...EVENTFS_NODE, 'bridge', '--check', ...options(1883)];
    const { out, code } = await run(check, { timeoutMs: 2 * CONNECTION_MS });
    assert.match(out, /: no address of broker\.test within 10 s \(check DNS: /);
    assert.is(code, 1);
    await one.says(/no address of broker\.test within 10 s/);
    one.process.kill('SIGTERM');
    assert.is(await within(5000, one.ended, 'it does not end'), 0);
    resolver.close();
  },
  40_000,
);

tests.run();
