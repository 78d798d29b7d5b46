/** Suites of bridges with a broker, a host in the network, and two mounts. */
import { type Suite, suite } from '../runner/suite.js';
import { type Daemon, startDaemon } from '../mount/daemon.js';
import { Bridge, endFleet, scratch } from './bridges.js';
import { type Broker, startBroker } from './broker.js';
import { type Host, startHost } from './network.js';

export let broker: Broker;
/** The host on which the bridges of the suite run. */
export let web: Host;
/** The mount whose events a host publishes. */
export let local: Daemon;
/** The mount that has the events of other hosts. */
export let fleet: Daemon;

/**
 * Makes a suite that starts them, and ends them after its tests.
 *
 * @param options of the fleet's mount
 */
export function fleetSuite(name: string, options: readonly string[] = []): Suite {
  const tests = suite(name);
  tests.before(async () => {
    broker = await startBroker();
    web = await startHost('web');
    [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet', ...options])]);
  });
  tests.after(() => endFleet(local, fleet));
  return tests;
}

/**
 * Starts a bridge with a state of its own, which soon notices that a mount or a broker is dead.
 * @param name its host's name
 */
export function quickBridge(name: string, ...args: readonly string[]): Bridge {
  const own = ['--broker', broker.url, '--host', name, '--keep-alive', '1', '--state', scratch()];
  return new Bridge([...own, ...args], web.enter);
}
