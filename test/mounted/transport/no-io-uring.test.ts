/**
 * A daemon without io_uring(7): it makes a system call for each reply and for each look for deaths,
 * and behaves the same otherwise.
 */
import * as assert from 'uvu/assert';
import { compiled } from '../../support/clients/compiled.js';
import { measure } from '../../support/mount/measure.js';
import { type Daemon, killDaemons, startDaemon } from '../../support/mount/daemon.js';
import { descriptors } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const TIMEOUT_MS = 60_000;
const RINGS = /io_uring/;

const refused = suite('a daemon that may not use io_uring');
let daemon: Daemon;

refused.before(async () => {
  daemon = await startDaemon(['--source', 'none'], undefined, {
    under: [compiled('refuses'), 'io_uring_setup'],
  });
});
refused.after(async () => {
  await daemon.stop();
  await killDaemons();
});

refused('has no ring; another daemon has one for replies and one for deaths', async () => {
  assert.is(descriptors(daemon.pid, RINGS).length, 0);
  const other = await startDaemon(['--source', 'none']);
  const { length } = descriptors(other.pid, RINGS);
  await other.stop();
  // A third ring carries requests. Before Linux 6.1 no daemon has a ring.
  assert.ok(length >= 2 || length === 0, `${length} rings`);
});

refused('returns events to many blocked readers in order', async () => {
  const args = ['--publish', `${daemon.path}/publish`, '--publishers', 2];
  const got = await measure('readers', [`${daemon.path}/stream`, 80, 1, 300, ...args], {
    timeoutMs: TIMEOUT_MS,
  });
  assert.ok(Number(got.get('events_per_s')) > 0);
  assert.is(got.get('disorder'), '0');
});

refused('knows of a death before the next request', async () => {
  const got = await measure('deaths', [daemon.path, 500], { timeoutMs: TIMEOUT_MS });
  assert.is(got.get('stale'), '0');
  assert.is(got.get('stuck'), '0');
});

refused.run();
