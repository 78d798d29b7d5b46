/**
 * Random lives: processes make directories, read, write, wait, poll, and die at any moment. A small
 * model predicts each result. At the end all counts are zero.
 */
import fc from 'fast-check';
import { runs } from '../../support/runner/budget.js';
import { Child } from '../../support/memory/child.js';
import { suite } from '../../support/runner/suite.js';
import { World } from './life-model.js';
import { CHILDREN, steps } from './life-steps.js';

const life = suite('a random life');

life(
  'returns each event once, blocks no read that has data, reaches no dead directory, and leaves nothing behind',
  async () => {
    const children: Child[] = [];
    const property = fc.asyncProperty(steps, fc.boolean(), async (all, byDeath) => {
      for (let n = 0; n < CHILDREN; n++) if (children[n]?.alive !== true) children[n] = new Child();
      const world = new World(children);
      try {
        for (const one of all) {
          await world.perform(one);
          world.check();
        }
        await world.endAll(byDeath);
      } finally {
        world.kernel.close();
      }
    });
    try {
      await fc.assert(property, runs(500));
    } finally {
      for (const child of children) await child.die();
    }
  },
  600_000,
);

life.run();
