/**
 * The deterministic simulation (test/simulation): a million steps from fixed seeds, in processes of
 * their own, because it replaces the clock and the processes of the whole process that it is in.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../../support/project.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const simulation = suite('a simulated daemon');

const STEPS = runs(1_000_000).numRuns;
/** Below so many steps a second process would mostly wait for V8 to compile the tree once more. */
const STEPS_FOR_TWO = 250_000;
const PROCESSES = STEPS < STEPS_FOR_TWO ? 1 : 2;
/** The seeds of one process: no process uses those of another. */
const SEEDS_APART = 1_000_000;

/** Runs a share of the steps; resolves to the output. */
async function share(number: number): Promise<{ code: number | null; output: string }> {
  const main = join(PROJECT, 'dist/test/simulation/main.js');
  const seed = number * SEEDS_APART + 1;
  const steps = Math.ceil(STEPS / PROCESSES);
  const child: ChildProcess = spawn(
    process.execPath,
    // Without V8's helper threads, which would take CPUs from the other process and other files.
    ['--single-threaded', '--enable-source-maps', main, '--seed', `${seed}`, '--steps', `${steps}`],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((done, failed) => {
    child.on('error', failed);
    child.on('close', done);
  });
  return { code, output };
}

simulation(
  'does what the model says, through crashes at every moment, and serves each reader afterwards',
  async () => {
    const shares = await Promise.all(Array.from({ length: PROCESSES }, (_, n) => share(n)));
    for (const { code, output } of shares) {
      assert.is(code, 0, output);
      assert.match(
        output,
        /^\d+ steps in .* [1-9]\d* crashes of the daemon, [1-9]\d* reloads, [1-9]\d* mounts taken back$/m,
      );
    }
  },
  280_000,
);

simulation.run();
