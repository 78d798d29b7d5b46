/** Binary search in a circular buffer. */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { lowerBound } from '../../../fs/shared/lower-bound.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const search = suite('lowerBound');

const NUMBER = fc.integer({ min: -9, max: 9 });

search('counts the lower numbers, wherever the circular buffer begins', () => {
  const property = fc.property(
    fc.array(NUMBER, { maxLength: 12 }),
    fc.nat(3),
    fc.nat(),
    NUMBER,
    (numbers, spare, start, wanted) => {
      const ascending = numbers.sort((one, other) => one - other);
      const ring = new Float64Array(ascending.length + spare).fill(NaN);
      const first = ring.length === 0 ? 0 : start % ring.length;
      ascending.forEach((number, at) => (ring[(first + at) % ring.length] = number));
      assert.is(
        lowerBound(ring, first, ascending.length, wanted),
        ascending.filter((number) => number < wanted).length,
      );
    },
  );
  fc.assert(property, runs(1000));
});

search.run();
