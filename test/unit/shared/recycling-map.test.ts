/** RecyclingMap, for keys that come and go, beside V8's Map. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { RecyclingMap } from '../../../fs/shared/recycling-map.js';

const steady = suite('a recycling map');

steady('agrees with a Map after any operations', () => {
  const operation = fc.record({
    what: fc.constantFrom('set', 'delete', 'delete', 'clear'),
    key: fc.nat(40),
    value: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
      const [real, model] = [new RecyclingMap<number, number>(), new Map<number, number>()];
      for (const { what, key, value } of operations) {
        if (what === 'set') {
          real.set(key, value);
          model.set(key, value);
        } else if (what === 'delete') assert.is(real.delete(key), model.delete(key));
        else if (value % 8 === 0) {
          real.clear();
          model.clear();
        }
        assert.is(real.size, model.size);
        assert.is(real.get(key), model.get(key));
      }
      assert.equal([...real.values()].sort(), [...model.values()].sort());
    }),
    runs(200),
  );
});

steady.run();
