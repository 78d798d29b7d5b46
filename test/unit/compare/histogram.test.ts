/** The histogram that the C programs fill and the report reads. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { Histogram, bucketOf, rangeOf } from '../../../benchmarks/compare/histogram.js';
import { PROGRAMS } from '../../../benchmarks/compare/program.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const histogram = suite('a histogram');
const MOST_NS = 2 ** 40 - 1;
const times = (): fc.Arbitrary<number> =>
  fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: MOST_NS }));

histogram('counts every time in the bucket whose range contains it', () => {
  fc.assert(
    fc.property(times(), (ns) => {
      const { lowest, width } = rangeOf(bucketOf(ns));
      assert.ok(ns >= lowest && ns < lowest + width, `${ns} is not in ${lowest} + ${width}`);
    }),
    runs(2000),
  );
});

histogram('has buckets of at most 1/32 of their values, without gaps', () => {
  for (let bucket = 0, next = 0; next < MOST_NS; bucket++) {
    const { lowest, width } = rangeOf(bucket);
    assert.is(lowest, next);
    assert.ok(width === 1 || width <= lowest / 32, `${width} at ${lowest}`);
    next = lowest + width;
  }
});

histogram('equals the one that the C programs fill', () => {
  fc.assert(
    fc.property(fc.array(times(), { minLength: 1, maxLength: 200 }), (values) => {
      const out = execFileSync(join(PROGRAMS, 'subscribers'), ['buckets', ...values.map(String)], {
        encoding: 'latin1',
      });
      assert.equal(out.trim().split(' ').map(Number), values.map(bucketOf));
    }),
    runs(20),
  );
});

histogram('has quantiles to within 1/64, and merges', () => {
  fc.assert(
    fc.property(
      fc.array(times(), { minLength: 1, maxLength: 300 }),
      fc.array(times(), { maxLength: 300 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (some, more, fraction) => {
        const all = filled(some);
        all.merge(filled(more));
        const sorted = [...some, ...more].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)];
        assert.is(all.count, sorted.length);
        assert.ok(
          Math.abs(all.quantile(fraction) - exact) <= exact / 64 + 1,
          `${all.quantile(fraction)} is not ${exact}`,
        );
      },
    ),
    runs(500),
  );
});

histogram('is the same after writing and reading', () => {
  const all = filled([1, 1, 70, 1_000_000]);
  assert.is(Histogram.parse(all.toString()).toString(), all.toString());
  assert.is(Histogram.parse('').count, 0);
  assert.ok(Number.isNaN(Histogram.parse('').quantile(0.5)));
});

function filled(values: readonly number[]): Histogram {
  const all = new Histogram();
  for (const value of values) all.add(bucketOf(value), 1);
  return all;
}

histogram.run();
