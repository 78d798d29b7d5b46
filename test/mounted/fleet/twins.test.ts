/** Two bridges with one name and one machine id, as on clones of a machine. */
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Bridge, PATIENCE_MS, endFleet, scratch } from '../../support/fleet/bridges.js';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import { type Daemon, startDaemon, until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('two bridges with one machine id');

const TWIN = /\(another bridge has the same name and machine id: use another --host, and a new /;
/** Longer than a usual pause before a connection, and shorter than the longest one. */
const PAUSE_MS = 4000;

let fleet: Daemon;
let broker: Broker;
let web: Host;

tests.before(async () => {
  broker = await startBroker();
  web = await startHost('web');
  fleet = await startDaemon(['--fleet']);
});

tests.after(() => endFleet(fleet));

function bridge(url: string, under: readonly string[] = []): Bridge {
  const own = ['--host', 'web1', '--fleet', fleet.path, '--state', scratch()];
  return new Bridge(['--broker', url, ...own], under);
}

/** How often a bridge has connected. */
function connections({ log }: Bridge): number {
  return log.match(/: connected to /g)?.length ?? 0;
}

tests('take turns, and say so, with a broker that does not name the reason', async () => {
  const twins = [bridge(broker.url, web.enter)];
  await twins[0].says(/connected to/);
  twins.push(bridge(broker.url, web.enter));
  const quiet = (await until(
    () => twins.find(({ log }) => TWIN.test(log)),
    'no bridge knows of the other',
    PATIENCE_MS,
  ))!;
  const other = twins.find((each) => each !== quiet)!;
  const before = connections(quiet);
  await sleep(PAUSE_MS);
  assert.is(connections(quiet), before, 'it takes the connection again');
  assert.match(
    quiet.log,
    /closed the connection \(another bridge[^\n]*; the bridge connects again/,
  );
  assert.ok(connections(other) <= before + 1, other.log);
  for (const each of twins) assert.is(await each.stop(), 0);
});

tests('are not suspected after a SIGHUP, nor after a restart without the state', async () => {
  const killed = bridge(broker.url, web.enter);
  await killed.says(/connected to/);
  await killed.stop('SIGKILL');
  const one = bridge(broker.url, web.enter);
  await one.says(/connected to/);
  for (let round = 2; round < 5; round++) {
    one.process.kill('SIGHUP');
    await one.says(new RegExp(`(: connected to [^]*){${round}}`));
  }
  await broker.stop();
  await one.says(/the bridge connects again/);
  await broker.start();
  await one.says(/(: connected to [^]*){5}/);
  assert.not.match(one.log, TWIN);
  assert.is(await one.stop(), 0);
});

tests('are slow if the broker names the reason', async () => {
  let count = 0;
  const server = createServer((socket) => {
    count++;
    // The broker accepts, and ends the connection with the code 0x8E.
    const answer = Buffer.from('2003000000e0028e00', 'hex');
    socket.on('error', () => undefined).once('data', () => socket.write(answer));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const one = bridge(`mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await one.says(/Session taken over \(another bridge has the same name and machine id: /);
  await sleep(PAUSE_MS);
  assert.is(count, 1);
  assert.is(await one.stop(), 0);
  server.close();
});

tests.run();
