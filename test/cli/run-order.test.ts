/** In which order `eventfs run` works on events, without any event. */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { RunOrder } from '../../fs/cli/run-order.js';
import { runs } from '../support/budget.js';
import { suite } from '../support/suite.js';

interface Numbered {
  readonly n: number;
  readonly devpaths: readonly string[];
}

const order = suite('run order');

order('begins no event while another of its devpaths is worked on, nor before an older one, and forgets none', () => {
  const devpaths = fc.array(fc.constantFrom('/a', '/b', '/c', '/d'), { minLength: 1, maxLength: 2 });
  const steps = fc.array(fc.oneof(devpaths, fc.nat({ max: 20 })), { maxLength: 60 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 4 }), (all, jobs) => {
      const tested = new RunOrder<Numbered>(jobs);
      const begun: Numbered[] = [];
      let added = 0;
      const beginAll = (): void => {
        for (let job = tested.begin(); job !== undefined; job = tested.begin()) {
          assert.ok(tested.running.size <= jobs);
          for (const other of tested.running) if (other !== job) assert.not.ok(other.devpaths.some((path) => job.devpaths.includes(path)), 'two at a time');
          begun.push(job);
        }
      };
      const endOne = (which: number): void => {
        const running = [...tested.running];
        if (running.length > 0) tested.end(running[which % running.length]);
      };
      for (const step of all) {
        if (typeof step === 'number') endOne(step);
        else tested.add({ n: added++, devpaths: step });
        beginAll();
      }
      while (tested.running.size > 0) {
        endOne(0);
        beginAll();
      }
      assert.is(begun.length, added);
      for (const path of ['/a', '/b', '/c', '/d']) {
        const numbers = begun.filter(({ devpaths: paths }) => paths.includes(path)).map(({ n }) => n);
        assert.equal(numbers, [...numbers].sort((a, b) => a - b));
      }
    }),
    runs(300),
  );
});

order('begins what may begin, whatever waits before it', () => {
  const tested = new RunOrder<Numbered>(2);
  const [first, second, third] = ['/a', '/a', '/b'].map((path, n) => ({ n, devpaths: [path] }));
  for (const job of [first, second, third]) tested.add(job);
  assert.equal([tested.begin(), tested.begin(), tested.begin()], [first, third, undefined]);
  tested.end(first);
  assert.equal([tested.begin(), tested.waiting], [second, 0]);
});

order.run();
