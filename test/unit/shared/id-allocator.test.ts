/** Numbers for nodes and inodes: each is returned once, and no reserved one. */
import * as assert from 'uvu/assert';
import { IdAllocator, NAMED_COUNT, NAMED_FIRST } from '../../../fs/shared/id-allocator.js';
import { suite } from '../../support/runner/suite.js';

const mint = suite('the id allocator');

mint('returns the next number, or the first of several', () => {
  const numbers = new IdAllocator(1);
  assert.equal(
    [numbers.next(), numbers.nextOf(3), numbers.next(), numbers.nextOf(1), numbers.next()],
    [2, 3, 6, 7, 8],
  );
});

mint('skips the reserved numbers, wherever it stands before them', () => {
  const after = NAMED_FIRST + NAMED_COUNT;
  for (let before = 10; before > 0; before--) {
    for (const count of [1, 2, 7]) {
      const numbers = new IdAllocator(NAMED_FIRST - before);
      const given: number[] = [];
      for (let n = 0; n < 12; n++) {
        const first = n % 3 === 0 ? numbers.nextOf(count) : numbers.next();
        given.push(...Array.from({ length: n % 3 === 0 ? count : 1 }, (_, at) => first + at));
      }
      assert.equal(
        given,
        [...new Set(given)].sort((a, b) => a - b),
      );
      assert.equal(
        given.filter((number) => number >= NAMED_FIRST && number < after),
        [],
      );
    }
  }
  const numbers = new IdAllocator(NAMED_FIRST - 1);
  assert.is(numbers.next(), after);
});

mint.run();
