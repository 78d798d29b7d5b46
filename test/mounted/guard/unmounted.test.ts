/** The end of a guarded mount that was unmounted, or whose daemon was stopped. */
import { closeSync, openSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { detach } from '../../../fs/client/unmount.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import { type Daemon, isMounted, run, within } from '../../support/mount/daemon.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import { daemonPid, startGuarded } from './common.js';

const NOTHING = { out: '', err: '', code: 0 };

/** These tests wait for most of their time, and each has a mount of its own. */
const unmounted = sideBySide(suite('a guarded mount that is no longer there'), 3);
unmounted.before(prepare);
unmounted.after(cleanUp);

async function ends(guarded: Daemon): Promise<void> {
  await within(5000, guarded.ended, 'the guardian did not end');
}

unmounted('umount ends the guardian of a daemon that was stopped', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  process.kill(await daemonPid(path), 'SIGSTOP');
  assert.equal(await eventfs('umount', path), NOTHING);
  assert.not(isMounted(path));
  await ends(guarded);
  const next = await startGuarded([], path);
  assert.is(await next.stop(), 0);
});

unmounted('umount -f of a stopped daemon leaves a guardian, which umount ends', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  process.kill(await daemonPid(path), 'SIGSTOP');
  assert.is((await run(['umount', '-f', path])).code, 0);
  const { err, code } = await eventfs('mount', '--guard', '--source', 'none', path);
  assert.is(
    err,
    `eventfs: mount: ${path}: another guardian serves it (try eventfs umount ${path} first)\n`,
  );
  assert.is(code, 1);
  assert.equal(await eventfs('umount', path), NOTHING);
  await ends(guarded);
});

unmounted('umount ends a mount that was detached, and is still in use', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const file = openSync(`${path}/log/.status`, 'r');
  detach(path);
  const { out } = await eventfs('reload', path);
  assert.match(out, new RegExp(`^process [0-9]+ serves the mount that was at ${path}\n$`));
  assert.equal(await eventfs('umount', path), NOTHING);
  closeSync(file);
  await ends(guarded);
  const { err, code } = await eventfs('umount', path);
  assert.is(code, 102);
  assert.match(err, /eventfs is not mounted here/);
});

unmounted('umount says so if the guardian does not end', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const file = openSync(`${path}/log/.status`, 'r');
  detach(path);
  process.kill(guarded.pid, 'SIGSTOP');
  const { err, code } = await eventfs('umount', path);
  assert.is(code, 102);
  assert.match(err, /its guardian does not end \(look for eventfs-guard in ps, and kill it\)\n$/);
  process.kill(guarded.pid, 'SIGCONT');
  closeSync(file);
  await ends(guarded);
});

unmounted.run();
