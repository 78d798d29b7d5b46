/** The quota ledger equals a recount at any time, and is empty at the end. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { runs } from '../../../support/runner/budget.js';
import { suite } from '../../../support/runner/suite.js';
import { accountsOf } from './ledger.js';
import { World, step } from './world.js';

const quota = suite('a quota');

/**
 * Performs random operations, compares the ledger with a recount after every `pace` of them, and
 * requires an empty ledger at the end.
 */
async function live(seed: number, count: number, pace: number): Promise<number> {
  const world = new World();
  const steps = fc.sample(step, { seed, numRuns: count });
  for (const [n, one] of steps.entries()) {
    try {
      await world.perform(one);
      if (n % pace === 0) world.check();
    } catch (error) {
      throw new Error(`seed ${seed}, step ${n}, ${JSON.stringify(one)}: ${String(error)}`, {
        cause: error,
      });
    }
  }
  await world.end();
  assert.equal(accountsOf(world.kernel), {});
  assert.equal([world.kernel.tree.ledger.users.size, world.kernel.tree.ledger.groups.size], [0, 0]);
  assert.equal(world.kernel.warnings, []);
  return world.refusals;
}

quota(
  'returns to zero after 10,000 random operations and deaths',
  async () => {
    assert.ok((await live(7, 10_000, 100)) > 100, 'hardly anybody was refused');
  },
  300_000,
);

quota(
  'equals a recount after each operation',
  async () => {
    for (let seed = 1; seed <= runs(4).numRuns; seed++) await live(seed, 700, 1);
  },
  300_000,
);

quota.run();
