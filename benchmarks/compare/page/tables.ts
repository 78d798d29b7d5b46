/** Makes tables of the figures, for the terminal and for the page. */
import { DESIGNS, type Design, designOf } from '../designs/designs.js';
import type { Leftovers } from '../designs/peer.js';
import type { Deaths } from '../measures/deaths.js';
import {
  type Measured,
  type Results,
  cpuUs,
  deliveriesPerS,
  latencyUs,
  spreadOf,
  storedBytes,
} from '../results.js';
import { bytes, digits, eventSize, ms, percent, short, times } from './format.js';

export interface Rows {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const CELL_HEAD = [
  'design',
  'deliveries/s',
  'least..most',
  'lost',
  'events/read',
  'p50 µs',
  'p99 µs',
  'p99.9 µs',
  'manager µs',
  'all µs',
  'B stored',
] as const;

/** Returns a table for each number of subscribers and size of event. */
export function cellTables(results: Results): Rows[] {
  const cells = new Map<string, Measured[]>();
  for (const each of results.measured) {
    const title = `${each.subscribers.toLocaleString('en')} subscriber${each.subscribers > 1 ? 's' : ''}, events of ${eventSize(each.bytes)}`;
    cells.set(title, [...(cells.get(title) ?? []), each]);
  }
  return [...cells].map(([title, measured]) => ({
    title,
    head: CELL_HEAD,
    rows: measured.map(cellRow),
  }));
}

function cellRow(measured: Measured): string[] {
  const { median, least, most } = deliveriesPerS(measured);
  const { throughput } = measured;
  const each = (take: (round: (typeof throughput)[number]) => number): number =>
    spreadOf(throughput.map(take)).median;
  return [
    designOf(measured.design).title,
    short(median),
    `${short(least)}..${short(most)}`,
    percent(each(({ lostShare }) => lostShare)),
    digits(each(({ eventsPerRead }) => eventsPerRead)),
    ...[0.5, 0.99, 0.999].map((fraction) => short(latencyUs(measured, fraction))),
    digits(cpuUs(measured, 'latency', ['manager']).median),
    digits(cpuUs(measured, 'latency', ['manager', 'publisher', 'subscriber']).median),
    bytes(storedBytes(measured)),
  ];
}

export function deathTable(results: Results): Rows {
  const rows = results.measured.flatMap((measured) =>
    (measured.deaths ?? []).map((deaths) => [
      titleOf(measured.design, deaths),
      String(deaths.killed),
      reachedText(deaths),
      heldText(deaths),
      leftText(deaths.leftAtOnce),
      deaths.goneMs === null ? 'stays' : deaths.goneMs === 0 ? 'at once' : ms(deaths.goneMs),
      deaths.goneMs === null ? leftText(deaths.leftAtLast) : 'nothing',
    ]),
  );
  return {
    title: 'After SIGKILL',
    head: [
      'design',
      'killed',
      'names reached',
      'held reads',
      'left at once',
      'gone after',
      'left for good',
    ],
    rows,
  };
}

function titleOf(design: string, { victims }: Deaths): string {
  const { title } = designOf(design);
  return victims === 'subscribers' ? title : `${title}, ${victims}`;
}

/** Returns the share of names that could be opened; some designs have no names. */
function reachedText({ tried, reached }: Deaths): string {
  return tried === 0 ? 'no names' : `${reached} of ${tried}`;
}

function heldText({ tried, held, killed }: Deaths): string {
  return tried === 0 ? 'no files' : `${held} of ${killed}`;
}

export function leftText(left: Leftovers): string {
  const parts: string[] = [];
  if (left.bytes > 0) parts.push(bytes(left.bytes));
  if (left.inodes > 0) parts.push(`${left.inodes.toLocaleString('en')} inodes`);
  if (left.descriptors > 0) parts.push(`${left.descriptors} descriptors`);
  if (left.processes > 0) parts.push(`${left.processes} processes`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

export function laggardTable(results: Results): Rows {
  const rows = results.measured
    .filter(({ laggard }) => laggard !== undefined)
    .map(({ design, subscribers, laggard }) => [
      designOf(design).title,
      String(subscribers),
      times(laggard!.throughputRatio),
      times(laggard!.latencyRatio),
    ]);
  return {
    title: 'One subscriber that never reads: the others, against the same when all read',
    head: ['design', 'subscribers', 'deliveries to each', 'median latency'],
    rows,
  };
}

/** Returns the properties of the designs that figures do not show. */
export function traitTable(designs: readonly Design[] = DESIGNS): Rows {
  return {
    title: 'Properties that figures do not show',
    head: [
      'design',
      'how a subscriber takes events',
      'filters',
      'order',
      'losses',
      'permissions',
      'from a shell',
    ],
    rows: designs.map(({ title, how, traits }) => [
      title,
      how,
      traits.filters,
      traits.order,
      traits.loss,
      traits.permissions,
      traits.shell,
    ]),
  };
}
