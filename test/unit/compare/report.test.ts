/** The report's pieces: plots, tables, and the figures that the answer quotes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { answer, writtenAnswer } from '../../../benchmarks/compare/answer.js';
import { subsetOf } from '../../../benchmarks/compare/compare.js';
import { DESIGNS } from '../../../benchmarks/compare/designs/designs.js';
import { bytes, digits, ms, percent, short } from '../../../benchmarks/compare/page/format.js';
import { page } from '../../../benchmarks/compare/page/page.js';
import { figureSvgs, logTicks } from '../../../benchmarks/compare/page/plot.js';
import { cellTables, deathTable } from '../../../benchmarks/compare/page/tables.js';
import { FULL } from '../../../benchmarks/compare/plan.js';
import {
  type Measured,
  type Results,
  latencyUs,
  spreadOf,
  toJson,
} from '../../../benchmarks/compare/results.js';
import { runs } from '../../support/runner/budget.js';
import { PROJECT } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const report = suite('the report');
const CPU = { managerUs: 2, publisherUs: 1, subscriberUs: 3 };

function measured(design: string, subscribers: number, rates: readonly number[]): Measured {
  const left = { bytes: 0, inodes: 0, descriptors: 0, processes: 0 };
  return {
    design,
    subscribers,
    bytes: 300,
    throughput: rates.map((rate) => ({
      deliveriesPerS: rate,
      publishedPerS: 1,
      lostShare: 0.25,
      disorder: 0,
      accounted: true,
      eventsPerRead: 1,
      cpu: CPU,
    })),
    latency: [
      { ratePerS: 100, histogram: '10:99', cpu: CPU },
      { ratePerS: 100, histogram: '10:899 31:2', cpu: CPU },
    ],
    storage: { managerBytes: 40, kernelBytes: 2 },
    deaths: [
      {
        victims: 'subscribers',
        killed: 2,
        tried: 10,
        reached: 0,
        held: 0,
        leftAtOnce: left,
        leftAtLast: left,
        goneMs: 0,
      },
    ],
  };
}

const RESULTS: Results = {
  plan: { name: 'full', rounds: 3, publishers: 4, floodMs: 1, latencyMs: 1 },
  startedAt: '2026-01-02T03:04:05.000Z',
  seconds: 90,
  machine: {
    kernel: '6.18',
    cpu: '<a> & b',
    cpus: 2,
    memoryBytes: 2 ** 34,
    node: 'v20',
    eventfs: '0.1.0',
    commit: 'abc',
    compiler: 'cc',
  },
  load: { before: [1, 1, 1], after: [2, 2, 2] },
  designs: DESIGNS.map(({ id }) => ({ id })),
  measured: [
    measured('stream', 1, [3000, 1000, 2000]),
    measured('stream', 64, [9000]),
    measured('socket', 64, [4500]),
  ],
};

report('is well-formed and self-contained, and escapes foreign text', () => {
  const html = page(RESULTS);
  assert.not.match(html, /NaN|undefined|<script|https?:\/\//);
  assert.match(html, '&lt;a&gt; &amp; b');
  const open: string[] = [];
  for (const [, end, name, rest] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^>"])*)>/g)) {
    if (name === 'meta' || rest.endsWith('/')) continue;
    if (end === '') open.push(name);
    else assert.is(open.pop(), name);
  }
  assert.equal(open, []);
});

report('draws a line and a marker for each measurement, and labels the axes', () => {
  const series = [
    {
      design: 'stream',
      points: [
        { x: 1, y: 10, least: 5, most: 20 },
        { x: 4, y: 100 },
      ],
    },
    { design: 'socket', points: [{ x: 1, y: NaN }] },
  ];
  const [svg] = figureSvgs({ panels: [{ title: 'a < b', series }], yLabel: 'µs', format: digits });
  assert.is(svg.match(/class="line"/g)!.length, 1);
  assert.is(svg.match(/class="marker"/g)!.length, 2);
  assert.is(svg.match(/class="whisker"/g)!.length, 1);
  for (const text of ['a &lt; b', 'subscribers (log)', 'µs (log)', 'stream, 4 subscribers: 100'])
    assert.ok(svg.includes(text), text);
});

report('has ticks within the axis, and at least one a factor of ten', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      fc.double({ min: 10, max: 1e6, noNaN: true }),
      (least, factor) => {
        const ticks = logTicks(least, least * factor);
        assert.ok(ticks.length >= 1);
        for (const tick of ticks) assert.ok(tick >= least && tick <= least * factor);
        assert.equal(
          ticks,
          [...new Set(ticks)].sort((a, b) => a - b),
        );
      },
    ),
    runs(500),
  );
});

report("shows medians with their spread, and all rounds' times together", () => {
  assert.equal(spreadOf([3, 1, 2]), { median: 2, least: 1, most: 3 });
  assert.equal(spreadOf([1, 2]), { median: 1.5, least: 1, most: 2 });
  assert.is(latencyUs(RESULTS.measured[0], 0.5), 0.01);
  assert.is(latencyUs(RESULTS.measured[0], 0.999), 0.031);
  const [one] = cellTables(RESULTS);
  assert.is(one.title, '1 subscriber, events of 300 B');
  assert.equal(one.rows[0].slice(0, 4), ['eventfs stream', '2,000', '1,000..3,000', '25%']);
  assert.equal(deathTable(RESULTS).rows[0], [
    'eventfs stream',
    '2',
    '0 of 10',
    '0 of 2',
    'nothing',
    'at once',
    'nothing',
  ]);
});

report('writes figures in a readable form', () => {
  assert.equal([1_234_567, 45_600, 1234, 12.34, 0.001234].map(short), [
    '1.23 M',
    '45.6 k',
    '1,234',
    '12.3',
    '0.0012',
  ]);
  assert.equal([NaN, Infinity].map(short), ['-', '-']);
  assert.equal([12, 12_345, 1_234_567].map(bytes), ['12 B', '12.3 kB', '1.23 MB']);
  assert.equal([12.34, 1234].map(ms), ['12.3 ms', '1.23 s']);
  assert.equal([0, 0.0001, 0.25].map(percent), ['0', '<0.1%', '25%']);
});

report('can cover a part of the plan', () => {
  assert.equal(
    subsetOf(FULL, { subscribers: [16], bytes: [300, 2048] }).cells.map(
      ({ subscribers, bytes: size }) => [subscribers, size],
    ),
    [
      [16, 300],
      [16, 2048],
    ],
  );
  assert.is(subsetOf(FULL, {}).cells.length, FULL.cells.length);
});

report("provides the answer's figures, and refuses to quote a figure without a measurement", () => {
  assert.is(
    answer(
      '{{deliveries stream 64 300}}, {{ratio deliveries stream socket 64 300}}, {{p50 stream 1 300}}',
      RESULTS,
    ),
    '9,000, 2x, 0.01 µs',
  );
  assert.is(answer('{{reached stream 64}} {{gone stream 64}}', RESULTS), '0 of 10 at once');
  assert.throws(() => answer('{{deliveries netlink 64 300}}', RESULTS), /is not measured/);
  assert.throws(() => answer('{{what stream 64}}', RESULTS), /is not measured/);
});

report('is committed together with the answer that quotes it', () => {
  const json = readFileSync(join(PROJECT, 'benchmarks/compare/report/results.json'), 'utf8');
  const results = JSON.parse(json) as Results;
  assert.is(results.plan.name, 'full');
  assert.is(toJson(results), json);
  assert.is(readFileSync(join(PROJECT, 'docs/comparison.md'), 'utf8'), writtenAnswer());
});

report.run();
