/**
 * Brokers whose answers wait behind messages: a bridge stays connected, and notices a dead one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Bridge, Reader, knows, publish, scratch } from '../../support/fleet/bridges.js';
import { Relay, type RelayOrders } from '../../support/fleet/relay.js';
import { broker, fleet, fleetSuite, local, web } from '../../support/fleet/suite.js';

const tests = fleetSuite('a bridge whose broker is slow');

/** Follows a host that publishes five events a second, through a relay. */
async function follow(orders: RelayOrders): Promise<{
  readonly other: Bridge;
  /** Lets events come for a time. */
  readonly last: (ms: number) => Promise<void>;
  readonly end: () => Promise<void>;
}> {
  const relay = await Relay.start(broker, orders);
  const host = ['--host', 'web1', '--mount', local.path, '--publish', 'SUBSYSTEM==mine'];
  const own = ['--host', 'watcher', '--fleet', fleet.path, '--keep-alive', '1'];
  const start = (...args: readonly string[]): Bridge =>
    new Bridge([...args, '--state', scratch()], web.enter);
  const one = start('--broker', broker.url, ...host);
  const other = start('--broker', relay.url, ...own);
  await knows(fleet.path, 'web1');
  const reader = await Reader.of(fleet, 'web1');
  let next = 0;
  const last = async (ms: number): Promise<void> => {
    for (const end = next + ms / 200; next < end; next++) {
      publish(local, next, next + 1);
      await sleep(200);
    }
    await reader.reaches(next);
    assert.is(reader.lost, 0);
  };
  const end = async (): Promise<void> => {
    reader.end();
    await Promise.all([one.stop(), other.stop()]);
    relay.stop();
  };
  return { other, last, end };
}

tests('stays connected while messages come, and its answers wait behind them', async () => {
  const { other, last, end } = await follow({ keepsPongs: true, keepsAcknowledgements: true });
  // Six keep-alive times, of which two without a sign of life end a connection.
  await last(6000);
  assert.not.match(other.log, /connects again/);
  await other.says(/: the broker does not answer; the bridge connects again/);
  await end();
});

tests('is left if it answers pings, and acknowledges nothing', async () => {
  const { other, end } = await follow({ keepsAcknowledgements: true });
  await other.says(/: the broker does not answer; the bridge connects again/);
  await end();
});

tests.run();
