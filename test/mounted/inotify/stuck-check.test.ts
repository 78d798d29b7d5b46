/**
 * The check whether a notifier is stuck, with processes that wait in state D as one that waits for
 * a lock does (fs/drivers/devfuse/stuck-notifier.ts).
 */
import * as assert from 'uvu/assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { StuckCheck } from '../../../fs/drivers/devfuse/stuck-notifier.js';
import { killClients, spawnClient } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { until } from '../../support/mount/daemon.js';
import { stateOf } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const check = suite('the check of a notifier');
check.after(killClients);

/** The time between two looks of the tests. */
const LOOK_MS = 20;
const MOST_LOOKS = 150;

/**
 * Looks at a process that sleeps in state D `count` times.
 * @param lifeMs how long each sleep takes, in milliseconds
 * @returns at which look it is stuck, and Infinity if it never is
 */
async function looksAt(count: number, lifeMs: number, isCalm: boolean): Promise<number> {
  const client = spawnClient([compiled('in-state-d'), `${count}`, `${lifeMs}`], 'inherit');
  const pid = client.pid!;
  await until(() => stateOf(pid) === 'D', 'it does not sleep in state D');
  const stuck = new StuckCheck();
  for (let look = 1; look <= MOST_LOOKS; look++) {
    if (stuck.isStuck(pid, isCalm)) return look;
    await sleep(LOOK_MS);
  }
  return Infinity;
}

check(
  'finds one that waits for one lock: at 20 looks, or at 2 soon after another one',
  async () => {
    assert.is(await looksAt(1, 20_000, true), 20);
    assert.is(await looksAt(1, 20_000, false), 2);
  },
);

check('does not find one that waits for a lock at each look, but for another one', async () => {
  assert.is(await looksAt(2000, 5, true), Infinity);
});

check.run();
