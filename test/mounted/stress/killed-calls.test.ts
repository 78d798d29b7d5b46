/**
 * The daemon of a guarded mount is killed at the entry of one of its system calls, while a script
 * makes the same calls each time: at the first, the second, and so on. EVENTFS_KILLED_CALLS is how
 * many of them are tried, spread over all (0: all).
 */
import * as assert from 'uvu/assert';
import { statusOf } from '../../support/clients/clients.js';
import { Fault } from '../../support/clients/fault.js';
import { runScript } from '../../support/clients/history.js';
import { until } from '../../support/mount/daemon.js';
import { GuardedMount } from '../../support/mount/guarded.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

const TRIED = Number(process.env.EVENTFS_KILLED_CALLS ?? 20);
const SEED = 14;
const CALLS = 60;
const TIMEOUT_MS = 20_000;

const calls = suite('a guarded mount');
let mount: GuardedMount;

calls.before(async () => {
  mount = await GuardedMount.start(['--source', 'none']);
});
calls.after(() => mount.end());

/** Counts the system calls of the script. */
async function countCalls(): Promise<number> {
  const fault = await Fault.count(await mount.daemon());
  const found = await runScript(mount.path, SEED, CALLS, TIMEOUT_MS);
  assert.equal(found.violations, [], found.report());
  return (await fault.end()).calls;
}

calls(
  'gives a script the same results, wherever a system call of the daemon is its last',
  async () => {
    await countCalls(); // a new daemon also makes calls that load code
    const all = await countCalls();
    const step = TRIED === 0 ? 1 : Math.max(1, Math.floor(all / TRIED));
    let killed = 0;
    for (let n = 1; n <= all; n += step) {
      await until(
        () => statusOf(`${mount.path}/log`).GUARDED === 'guardian',
        'no daemon serves',
        TIMEOUT_MS,
      );
      const fault = await Fault.killAt(await mount.daemon(), n);
      const found = await runScript(mount.path, SEED, CALLS, TIMEOUT_MS);
      assert.equal(
        found.violations,
        [],
        `call ${n}: ${fault.said}\n${found.report()}\n${mount.guardian.log().slice(-1000)}`,
      );
      if (fault.said.startsWith('killed')) killed++;
      else await fault.end();
    }
    assert.ok(killed > 0.7 * (all / step), `only ${killed} kills`);
    figure(`killed at ${killed} of ${all} system calls`);
    assert.is(await mount.guardian.stop(), 0);
  },
  600_000 + TRIED * 2000,
);

calls.run();
