/**
 * Runs the simulation: many short runs, each from a seed of its own, until the number of steps is
 * reached or the time is over. A failure prints the command that repeats it.
 *
 *     node dist/test/simulation/main.js [--seed N] [--steps N] [--length N] [--seconds N] [--trace]
 */
import { parseArgs } from 'node:util';
import { type Counts, noCounts } from './counts.js';
import { Simulation } from './simulation.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '1000000' },
    length: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: 'Infinity' },
    trace: { type: 'boolean', default: false },
  },
});

// The daemon refuses thousands of requests a second, and each refusal would collect a stack.
if (!values.trace) Error.stackTraceLimit = 0;

const steps = Number(values.steps);
const length = Number(values.length);
const startMs = performance.now();
const total: Counts = noCounts();

function secondsSoFar(): number {
  return (performance.now() - startMs) / 1000;
}

/** Makes one run; returns false if it has failed. */
function runOne(seed: number): boolean {
  let simulation: Simulation | null = null;
  try {
    simulation = new Simulation(seed, values.trace);
    simulation.run(length);
    simulation.finish();
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += simulation.counts[key];
    return true;
  } catch (error) {
    if (values.trace) console.error(simulation?.trace.join('\n'));
    console.error(error instanceof Error ? error.stack : error);
    console.error(
      `\nseed ${seed} fails at step ${simulation?.counts.steps}; to repeat it:\n` +
        `  EVENTFS_ASSERT=throw node dist/test/simulation/main.js --seed ${seed} --steps 1 --length ${length} --trace`,
    );
    return false;
  }
}

for (
  let seed = Number(values.seed);
  total.steps < steps && secondsSoFar() < Number(values.seconds);
  seed++
) {
  if (runOne(seed)) continue;
  process.exitCode = 1;
  break;
}
const seconds = secondsSoFar();
console.log(
  `${total.steps} steps in ${seconds.toFixed(1)} s: ${total.calls} system calls, ` +
    `${total.requests} requests, ${total.events} events, ${total.deaths} deaths, ` +
    `${total.crashes} crashes of the daemon, ${total.reloads} reloads, ${total.takeBacks} mounts taken back`,
);
