/** The results: as results.json holds them, and the values that are shown. */
import { Histogram } from './histogram.js';
import type { Deaths } from './measures/deaths.js';
import type { Laggard } from './measures/laggard.js';
import type { Latency } from './measures/latency.js';
import type { Storage } from './measures/storage.js';
import type { Throughput } from './measures/throughput.js';

/** The results of one design with one number of subscribers and one size of event. */
export interface Measured {
  readonly design: string;
  readonly subscribers: number;
  readonly bytes: number;
  /** One entry a round, as in `latency`. */
  readonly throughput: Throughput[];
  readonly latency: Latency[];
  storage?: Storage;
  laggard?: Laggard;
  deaths?: Deaths[];
}

export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly eventfs: string;
  readonly commit: string;
  readonly compiler: string;
}

export interface Results {
  readonly plan: {
    readonly name: string;
    readonly rounds: number;
    readonly publishers: number;
    readonly floodMs: number;
    readonly latencyMs: number;
  };
  readonly startedAt: string;
  seconds: number;
  readonly machine: Machine;
  /** The load averages of 1, 5 and 15 minutes, before and after the run. */
  readonly load: { readonly before: readonly number[]; after: readonly number[] };
  readonly designs: readonly { readonly id: string; readonly unavailable?: string }[];
  readonly measured: Measured[];
}

/** The median and the range of several rounds. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { median, least: sorted[0], most: sorted[sorted.length - 1] };
}

export function deliveriesPerS(measured: Measured): Spread {
  return spreadOf(measured.throughput.map((round) => round.deliveriesPerS));
}

/** Returns a quantile of the times of all rounds together. */
export function latencyUs(measured: Measured, fraction: number): number {
  const all = new Histogram();
  for (const { histogram } of measured.latency) all.merge(Histogram.parse(histogram));
  return all.quantile(fraction) / 1000;
}

/** Returns the spread of the rounds' quantiles. */
export function latencySpreadUs(measured: Measured, fraction: number): Spread {
  return spreadOf(
    measured.latency.map(({ histogram }) => Histogram.parse(histogram).quantile(fraction) / 1000),
  );
}

type Payer = 'manager' | 'publisher' | 'subscriber';

/** Returns the CPU time of a delivery, at a modest rate or at saturation. */
export function cpuUs(
  measured: Measured,
  phase: 'latency' | 'throughput',
  payers: readonly Payer[],
): Spread {
  const rounds = measured[phase].map(({ cpu }) => cpu);
  return spreadOf(rounds.map((cpu) => payers.reduce((sum, payer) => sum + cpu[`${payer}Us`], 0)));
}

export function storedBytes({ storage }: Measured): number {
  return storage === undefined ? NaN : storage.managerBytes + storage.kernelBytes;
}

export function find(
  results: Results,
  design: string,
  subscribers: number,
  bytes: number,
): Measured | undefined {
  return results.measured.find(
    (each) => each.design === design && each.subscribers === subscribers && each.bytes === bytes,
  );
}

/** Returns JSON with four significant digits, which is more than the noise of a round allows. */
export function toJson(results: Results): string {
  const round = (_key: string, value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
  return `${JSON.stringify(results, round, 1)}\n`;
}
