/**
 * Replies that the kernel refuses, or that the addon does not pass on. A mistake of the daemon must
 * not let the caller wait for ever.
 */
import * as assert from 'uvu/assert';
import { constants } from 'node:fs';
import { Calls, killClients } from '../../support/clients/clients.js';
import {
  type Daemon,
  killDaemons,
  mountPoint,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { withPreload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const refused = suite('a malformed reply');
let daemon: Daemon;

refused.before(async () => {
  const eventfs = withPreload('bad-replies');
  daemon = await startDaemon(['--source', 'none', '--transport', 'read'], mountPoint(), {
    eventfs,
  });
});
refused.after(async () => {
  await killClients();
  await daemon.stop();
  await killDaemons();
});

/** @returns how many refused replies the daemon has logged */
const complaints = (): number =>
  daemon.log().split('the kernel rejected the reply: EINVAL\n').length - 1;

for (const [name, what] of [
  ['user.longer', 'that is longer than its header says'],
  ['user.beyond', 'that is longer than a reply may be'],
] as const) {
  refused(`${what} ends its call with EIO and is logged; the next call works`, async () => {
    const calls = new Calls();
    const before = complaints();
    assert.is((await calls.call('getxattr', `${daemon.path}/log`, name)).errno, 'EIO');
    await until(
      () => complaints() === before + 1,
      () => `it was not logged: ${daemon.log()}`,
    );
    assert.is((await calls.call('getxattr', `${daemon.path}/log`, 'user.none')).errno, 'ENODATA');
    await calls.end();
  });
}

refused(
  'whose bytes are not in the log ends its call with EIO and is logged; the next call works',
  async () => {
    const calls = new Calls();
    await calls.open(1, `${daemon.path}/log/.status`, constants.O_RDONLY);
    const before = complaints();
    await calls.call('getxattr', `${daemon.path}/log`, 'user.astray');
    assert.is((await calls.call('read', 1, 4096)).errno, 'EIO');
    await until(
      () => complaints() === before + 1,
      () => `it was not logged: ${daemon.log()}`,
    );
    assert.ok((await calls.call('read', 1, 4096)).value > 0);
    await calls.end();
  },
);

refused.run();
