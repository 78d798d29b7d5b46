/** The directories of hosts: who makes them, and what another process does to them. */
import { readdirSync, rmdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { Bridge, Reader, forgets, knows, publish } from '../../support/fleet/bridges.js';
import { fleet, fleetSuite, local, quickBridge } from '../../support/fleet/suite.js';
import { until } from '../../support/mount/daemon.js';

const tests = fleetSuite('the directories of a fleet');

function host(name: string, subsystem = 'mine'): Bridge {
  return quickBridge(name, '--mount', local.path, '--publish', `SUBSYSTEM==${subsystem}`);
}

function eventsOf(name: string): number {
  return readdirSync(`${fleet.path}/${name}`).length;
}

tests(
  'are made again if another process removes them, as long as their host is there',
  async () => {
    const [one, other] = [host('web1'), quickBridge('watcher', '--fleet', fleet.path)];
    await knows(fleet.path, 'web1', 'watcher');
    rmdirSync(`${fleet.path}/web1`);
    rmdirSync(`${fleet.path}/watcher`);
    await knows(fleet.path, 'web1', 'watcher');
    publish(local, 0, 3);
    await until(() => eventsOf('web1') === 3, 'the directory does not have the events');
    rmdirSync(`${fleet.path}/watcher`);
    await one.stop();
    await forgets(fleet.path, 'web1');
    await knows(fleet.path, 'watcher');
    assert.equal(readdirSync(fleet.path).sort(), ['log', 'match', 'publish', 'watcher']);
    await other.stop();
    assert.equal(readdirSync(fleet.path).sort(), ['log', 'match', 'publish']);
    assert.not.match(other.log, /rmdir|exists|not empty/);
  },
);

tests(
  'stay if a second bridge of the mount ends, and are its own after the first one',
  async () => {
    const hosts = [host('web1'), host('quiet', 'none')];
    const first = quickBridge('watcher', '--fleet', fleet.path);
    await knows(fleet.path, 'web1', 'quiet');
    const reader = await Reader.of(fleet, 'web1');
    publish(local, 0, 3);
    await reader.reaches(3);
    const second = quickBridge('second', '--fleet', fleet.path);
    await second.says(/File already exists \(end the other bridge of this mount\)/);
    await second.says(/quiet: File already exists/);
    assert.is(await second.stop(), 0);
    assert.not.match(second.log, /not empty/i);
    assert.ok(eventsOf('web1') >= 3);
    assert.is(eventsOf('quiet'), 0);
    const third = quickBridge('third', '--fleet', fleet.path);
    await third.says(/quiet: File already exists/);
    assert.is(await first.stop(), 0);
    await knows(fleet.path, 'web1', 'quiet', 'third');
    assert.is(eventsOf('web1'), 0);
    assert.is(third.log.match(/quiet: File already exists/g)?.length, 1);
    reader.end();
    await Promise.all([third, ...hosts].map((each) => each.stop()));
  },
);

tests.run();
