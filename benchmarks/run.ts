/**
 * Prints the figures. It does not fail on a missed bar: people judge the results.
 *
 *   node dist/benchmarks/run.js [name ...]
 *
 *   promise     accesses to the things of dead owners  lockstep  the same, exactly one event a read
 *   operations  open+read+close and stat, against      cpu       the daemon's CPU time a delivery,
 *               C, fuse-native and libfuse's example             against its socket outlet
 *   queues      links, pops, many waiting events       uevents   real uevents, against a bare
 *   filters     events that few of many want                     netlink listener
 *   scale       10,000 directories                     storm     100,000 of them
 *   fanout      many readers of one stream             inotify   the cost of watchers
 *   hosts       10,000 directories with HOST filters   restarts  a daemon that starts again
 *   fleet       hosts, a broker and bridges            commands  the start of watch, emit, exec
 *   guard       a guardian: time without service, cost
 */
import { cpus, release } from 'node:os';
import Table from 'cli-table3';
import type { Benchmark } from './figure.js';
import { commands } from './figures/commands.js';
import { cpu } from './figures/cpu.js';
import { fanout } from './figures/fanout.js';
import { filters } from './figures/filters.js';
import { fleet } from './figures/fleet.js';
import { guard } from './figures/guard.js';
import { hosts } from './figures/hosts.js';
import { inotify } from './figures/inotify.js';
import { lockstep } from './figures/lockstep.js';
import { operations } from './figures/operations.js';
import { promise } from './figures/promise.js';
import { queues } from './figures/queues.js';
import { restarts } from './figures/restarts.js';
import { scale } from './figures/scale.js';
import { storm } from './figures/storm.js';
import { uevents } from './figures/uevents.js';

const BENCHMARKS: readonly Benchmark[] = [
  promise,
  operations,
  queues,
  filters,
  scale,
  fanout,
  lockstep,
  cpu,
  uevents,
  storm,
  inotify,
  restarts,
  hosts,
  commands,
  guard,
  fleet,
];

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) {
    console.error(
      `bench: no ${unknown.join(', ')} (there are ${BENCHMARKS.map(({ name }) => name).join(', ')})`,
    );
    process.exitCode = 1;
    return;
  }
  const [cpu] = cpus();
  console.log(
    `Linux ${release()}, Node ${process.version}, ${cpus().length} CPUs: ${cpu.model.trim()}`,
  );
  for (const benchmark of BENCHMARKS) {
    if (wanted.length > 0 && !wanted.includes(benchmark.name)) continue;
    console.log(`\n${benchmark.name}`);
    const figures = await benchmark.run(
      (progress) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K  ${progress}`),
    );
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const table = new Table({
      head: ['figure', 'measured', 'bar', ''],
      colAligns: ['left', 'right', 'right', 'left'],
      style: { head: [], border: [] },
    });
    for (const { what, measured, bar, met } of figures)
      table.push([what, measured, bar, met === undefined ? '' : met ? 'met' : 'MISSED']);
    console.log(table.toString());
  }
}

await main();
