/**
 * Writes docs/comparison.md: benchmarks/compare/answer.md with the figures of
 * benchmarks/compare/report/results.json.
 *
 *   {{deliveries DESIGN SUBSCRIBERS BYTES}}     also p50, p99, p999, manager, all, saturated,
 * stored, lost, least, most, perread
 *   {{ratio WHAT DESIGN OTHER SUBSCRIBERS BYTES}}
 *   {{reached DESIGN SUBSCRIBERS [VICTIMS]}}    also held, left, gone; VICTIMS is wrappers or
 * catch-all
 *   {{laggard DESIGN SUBSCRIBERS}}
 *   {{machine}}, {{load}}, {{when}}, {{rounds}}, ...
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROJECT } from '../../test/support/mount/daemon.js';
import type { Deaths } from './measures/deaths.js';
import { bytes, digits, ms, percent, short, times } from './page/format.js';
import { leftText } from './page/tables.js';
import {
  type Measured,
  type Results,
  cpuUs,
  deliveriesPerS,
  find,
  latencyUs,
  spreadOf,
  storedBytes,
} from './results.js';

const ALL_PAYERS = ['manager', 'publisher', 'subscriber'] as const;

/** The figures of one cell: their values and their formats. */
const FIGURES: Readonly<
  Record<string, { of: (measured: Measured) => number; write: (value: number) => string }>
> = {
  deliveries: { of: (measured) => deliveriesPerS(measured).median, write: short },
  least: { of: (measured) => deliveriesPerS(measured).least, write: short },
  most: { of: (measured) => deliveriesPerS(measured).most, write: short },
  p50: { of: (measured) => latencyUs(measured, 0.5), write: us },
  p99: { of: (measured) => latencyUs(measured, 0.99), write: us },
  p999: { of: (measured) => latencyUs(measured, 0.999), write: us },
  manager: { of: (measured) => cpuUs(measured, 'latency', ['manager']).median, write: us },
  all: { of: (measured) => cpuUs(measured, 'latency', ALL_PAYERS).median, write: us },
  saturated: { of: (measured) => cpuUs(measured, 'throughput', ALL_PAYERS).median, write: us },
  stored: { of: storedBytes, write: bytes },
  lost: {
    of: ({ throughput }) => spreadOf(throughput.map(({ lostShare }) => lostShare)).median,
    write: percent,
  },
  perread: {
    of: ({ throughput }) => spreadOf(throughput.map(({ eventsPerRead }) => eventsPerRead)).median,
    write: digits,
  },
};

/** Formats microseconds, or milliseconds from 1,000. */
function us(value: number): string {
  return value >= 1000 ? ms(value / 1000) : `${digits(value)} µs`;
}

const WHOLE: Readonly<Record<string, (results: Results) => string>> = {
  machine: ({ machine }) =>
    `${machine.cpu}, ${machine.cpus} CPUs, ${digits(machine.memoryBytes / 2 ** 30)} GiB, Linux ${machine.kernel}, Node ${machine.node}`,
  when: ({ startedAt }) => startedAt.slice(0, 10),
  load: ({ load }) => `${digits(load.before[0])} before and ${digits(load.after[0])} after`,
  minutes: ({ seconds }) => digits(seconds / 60),
  rounds: ({ plan }) => String(plan.rounds),
  publishers: ({ plan }) => String(plan.publishers),
  noise: (results) => `${percent(noise(results))}`,
  disorder: ({ measured }) =>
    String(
      measured.reduce(
        (sum, { throughput }) => sum + throughput.reduce((all, round) => all + round.disorder, 0),
        0,
      ),
    ),
  unaccounted: ({ measured }) =>
    String(
      measured.flatMap(({ throughput }) => throughput).filter(({ accounted }) => !accounted).length,
    ),
  measurements: ({ measured }) => String(measured.flatMap(({ throughput }) => throughput).length),
};

/** Returns the median, over all measurements of deliveries, of the largest deviation of a round. */
function noise({ measured }: Results): number {
  const spreads = measured.map(deliveriesPerS).filter(({ median }) => median > 0);
  return spreadOf(
    spreads.map(({ median, least, most }) => Math.max(most - median, median - least) / median),
  ).median;
}

const DEATHS: Readonly<Record<string, (deaths: Deaths) => string>> = {
  reached: ({ reached, tried }) => `${reached} of ${tried}`,
  held: ({ held, killed }) => `${held} of ${killed}`,
  left: ({ leftAtLast }) => leftText(leftAtLast),
  gone: ({ goneMs }) => (goneMs === null ? 'never' : goneMs === 0 ? 'at once' : ms(goneMs)),
  killed: ({ killed }) => String(killed),
};

/**
 * Returns the template with its figures. @throws Error if it asks for a figure that is not measured
 */
export function answer(template: string, results: Results): string {
  return template.replaceAll(/\{\{([^}]+)\}\}/g, (_, words: string) =>
    quote(words.trim().split(/\s+/), results),
  );
}

function quote([what, ...rest]: string[], results: Results): string {
  if (what in WHOLE) return WHOLE[what](results);
  if (what in FIGURES) return FIGURES[what].write(FIGURES[what].of(cell(results, rest)));
  if (what === 'ratio') {
    const [figure, design, other, ...where] = rest;
    return times(
      FIGURES[figure].of(cell(results, [design, ...where])) /
        FIGURES[figure].of(cell(results, [other, ...where])),
    );
  }
  if (what === 'laggard') return times(cell(results, [...rest, '300']).laggard!.throughputRatio);
  const [design, subscribers, victims = 'subscribers'] = rest;
  const deaths = cell(results, [design, subscribers, '300']).deaths?.find((each) =>
    each.victims.startsWith(victims),
  );
  if (!(what in DEATHS) || deaths === undefined)
    throw new Error(`the answer quotes '${what} ${rest.join(' ')}', which is not measured`);
  return DEATHS[what](deaths);
}

function cell(results: Results, [design, subscribers, size]: readonly string[]): Measured {
  const found = find(results, design, Number(subscribers), Number(size));
  if (found === undefined)
    throw new Error(
      `the answer quotes ${design} with ${subscribers} subscribers and ${size} B, which is not measured`,
    );
  return found;
}

/** Returns the text that docs/comparison.md must have. */
export function writtenAnswer(): string {
  const results = JSON.parse(
    readFileSync(join(PROJECT, 'benchmarks/compare/report/results.json'), 'utf8'),
  ) as Results;
  return answer(readFileSync(join(PROJECT, 'benchmarks/compare/answer.md'), 'utf8'), results);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(PROJECT, 'docs/comparison.md'), writtenAnswer());
  console.log('docs/comparison.md quotes these figures now; read whether its words still hold.');
}
