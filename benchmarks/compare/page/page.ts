/** Makes the report: one HTML file without references to others. */
import { DESIGNS, designOf } from '../designs/designs.js';
import { WATCHED_MS } from '../measures/deaths.js';
import { modestRate } from '../measures/latency.js';
import { STORED_EVENTS } from '../measures/storage.js';
import {
  type Measured,
  type Results,
  type Spread,
  cpuUs,
  deliveriesPerS,
  latencySpreadUs,
  latencyUs,
  storedBytes,
} from '../results.js';
import { bytes, digits, eventSize, ms, short } from './format.js';
import { type Figure, type Point, escapeHtml, figureSvgs, swatch } from './plot.js';
import { STYLE } from './style.js';
import { type Rows, cellTables, deathTable, laggardTable, traitTable } from './tables.js';

interface Chapter {
  readonly title: string;
  readonly text: string;
  readonly figure: Figure;
}

type Value = (measured: Measured) => number | Spread;

export function page(results: Results): string {
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>eventfs: the designs side by side</title><style>${STYLE}</style></head><body>`,
    '<h1>Device events to many: the designs side by side</h1>',
    heading(results),
    legend(results),
    ...chapters(results).map(chapterHtml),
    laggards(results),
    deaths(results),
    `<h2>Properties that figures do not show</h2>${table(traitTable(), 'words')}`,
    `<h2>All figures</h2><p class="note">µs of CPU time are for each delivery at the modest rate; <i>all</i> is event manager, publisher and subscriber together.</p>`,
    ...cellTables(results).map(
      (rows) =>
        `<details><summary>${escapeHtml(rows.title)}</summary>${table({ ...rows, title: '' })}</details>`,
    ),
    '</body></html>\n',
  ].join('\n');
}

function heading({ machine, plan, startedAt, seconds, load, designs }: Results): string {
  const missing = designs.filter(({ unavailable }) => unavailable !== undefined);
  return [
    `<p class="machine">${escapeHtml(machine.cpu)}, ${machine.cpus} CPUs, ${digits(machine.memoryBytes / 2 ** 30)} GiB; Linux ${escapeHtml(machine.kernel)}, `,
    `Node ${escapeHtml(machine.node)}, ${escapeHtml(machine.compiler)}; eventfs ${escapeHtml(machine.eventfs)} (${escapeHtml(machine.commit)}). `,
    `${escapeHtml(startedAt)}, ${digits(seconds / 60)} minutes; load of the machine ${load.before.map(digits).join(', ')} before and ${load.after.map(digits).join(', ')} after. `,
    `${plan.rounds} rounds in which the designs take turns: lines are medians, bars the least and the most. ${plan.publishers} publishers at saturation, for ${plan.floodMs} ms each time.</p>`,
    ...missing.map(
      ({ id, unavailable }) =>
        `<p class="note">Not measured: ${escapeHtml(designOf(id).title)} (${escapeHtml(unavailable!)}).</p>`,
    ),
  ].join('');
}

function legend(results: Results): string {
  const shown = DESIGNS.filter(({ id }) => results.measured.some(({ design }) => design === id));
  return `<div class="legend">${shown.map(({ id, title }) => `<span>${swatch(id)}${escapeHtml(title)}</span>`).join('')}</div>`;
}

function chapters(results: Results): Chapter[] {
  const figure = (yLabel: string, format: (value: number) => string, value: Value): Figure => ({
    panels: panels(results, value),
    yLabel,
    format,
  });
  const cpuText =
    'It includes time in the kernel, and the work of the publishing system calls in the event manager.';
  return [
    {
      title: 'Deliveries a second at saturation',
      text: 'Events that all subscribers together got while the publishers published as fast as they could. Only received events count. Subscribers that take files one by one get 16,384 in all, more than they can take meanwhile.',
      figure: figure('deliveries/s', short, deliveriesPerS),
    },
    {
      title: 'From publish to read, the median',
      text: `At a rate that leaves the CPUs idle most of the time, so that no event waits in a line: ${modestRate(1)} events a second to one subscriber, ${modestRate(1024)} to 1,024.`,
      figure: figure('p50, µs', short, (each) => latencySpreadUs(each, 0.5)),
    },
    {
      title: 'From publish to read, the slowest of a hundred',
      text: 'The same events: 99% were there by then, all rounds taken together.',
      figure: figure('p99, µs', short, (each) => latencyUs(each, 0.99)),
    },
    {
      title: 'CPU time of the event manager for a delivery',
      text: `At the modest rate. ${cpuText} In the designs with files the publisher is the event manager.`,
      figure: figure('µs a delivery', digits, (each) => cpuUs(each, 'latency', ['manager'])),
    },
    {
      title: 'CPU time of all processes for a delivery',
      text: 'Event manager, publisher and subscriber together, at the modest rate.',
      figure: figure('µs a delivery', digits, (each) =>
        cpuUs(each, 'latency', ['manager', 'publisher', 'subscriber']),
      ),
    },
    {
      title: 'CPU time of all processes for a delivery at saturation',
      text: 'The same while the publishers published as fast as they could: one read takes many events in the designs that allow it.',
      figure: figure('µs a delivery', digits, (each) =>
        cpuUs(each, 'throughput', ['manager', 'publisher', 'subscriber']),
      ),
    },
    {
      title: 'Bytes stored for an event and subscriber',
      text: `${STORED_EVENTS} events while no subscriber reads. The event manager's memory is weighed after a collection; the kernel's is counted: pages, inodes, dentries, socket buffers with their overhead. The daemon's ring (4 MiB, always there) is counted once, by the text in it, in the designs that read from it.`,
      figure: figure('B an event and subscriber', bytes, storedBytes),
    },
  ];
}

/** A panel for each size of event, a line for each design. */
function panels(results: Results, value: Value): Figure['panels'] {
  const sizes = [...new Set(results.measured.map((each) => each.bytes))];
  return sizes.map((size) => ({
    title: `events of ${eventSize(size)}`,
    series: DESIGNS.map(({ id }) => ({
      design: id,
      points: results.measured
        .filter((each) => each.design === id && each.bytes === size)
        .map((each) => pointOf(each, value(each))),
    })),
  }));
}

function pointOf({ subscribers }: Measured, value: number | Spread): Point {
  return typeof value === 'number'
    ? { x: subscribers, y: value }
    : { x: subscribers, y: value.median, least: value.least, most: value.most };
}

function chapterHtml({ title, text, figure }: Chapter): string {
  return `<h2>${escapeHtml(title)}</h2><p>${escapeHtml(text)}</p><div class="panels">${figureSvgs(figure).join('')}</div>`;
}

function laggards(results: Results): string {
  const rows = laggardTable(results);
  if (rows.rows.length === 0) return '';
  const text =
    'One subscriber is stopped and all others go on. 1x is no harm. One pair of measurements each: differences below a half are noise.';
  return `<h2>One subscriber that never reads</h2><p>${text}</p>${table({ ...rows, title: '' })}`;
}

function deaths(results: Results): string {
  const rows = deathTable(results);
  if (rows.rows.length === 0) return '';
  return [
    '<h2>After SIGKILL</h2><p>Half of the subscribers are killed while events wait for them. Each access is made as soon as that process is dead: by name, and through a descriptor that ',
    `the prober opened before. Leftovers after ${ms(WATCHED_MS)} stay. In the design with cleaners a quarter is killed together with the wrappers, and another quarter when the catch-all is dead too.</p>`,
    table({ ...rows, title: '' }),
  ].join('');
}

function table({ title, head, rows }: Rows, kind = ''): string {
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  const caption = title === '' ? '' : `<caption>${escapeHtml(title)}</caption>`;
  return `<div class="scroll ${kind}"><table>${caption}<thead>${cells('th', head)}</thead><tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table></div>`;
}
