/** The order in which `eventfs run` starts commands, without any event. */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { RunOrder } from '../../../fs/cli/commands/run/run-order.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

interface Numbered {
  readonly n: number;
  readonly devpaths: readonly string[];
}

/** Devices are in a hierarchy: `/a/b` is a child of `/a`, and `/ab` is not. */
function related(one: string, other: string): boolean {
  const [shorter, longer] = [one.split('/'), other.split('/')].sort((a, b) => a.length - b.length);
  return shorter.every((name, i) => longer[i] === name);
}

function inTheWay(one: Numbered, other: Numbered): boolean {
  return one.devpaths.some((path) => other.devpaths.some((otherPath) => related(path, otherPath)));
}

const order = suite('run order');

order(
  'starts no event while one of the same device, its parents or its children runs, nor before an older one, and omits none',
  () => {
    const devpaths = fc.array(
      fc.constantFrom('/a', '/a/b', '/a/b/c', '/a/bc', '/ab', '/ab/c', '/d'),
      { minLength: 1, maxLength: 2 },
    );
    const steps = fc.array(fc.oneof(devpaths, fc.nat({ max: 20 })), { maxLength: 60 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 4 }), (all, jobs) => {
        const tested = new RunOrder<Numbered>(jobs);
        const begun: Numbered[] = [];
        let added = 0;
        const beginAll = (): void => {
          for (let job = tested.begin(); job !== undefined; job = tested.begin()) {
            assert.ok(tested.running.size <= jobs);
            for (const other of tested.running)
              if (other !== job) assert.not.ok(inTheWay(other, job), 'two at a time');
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
        for (const [i, job] of begun.entries()) {
          const overtaken = begun
            .slice(i + 1)
            .find((later) => later.n < job.n && inTheWay(later, job));
          assert.is(overtaken, undefined, `${job.n} came before an older one`);
        }
      }),
      runs(300),
    );
  },
);

order('starts every event that may start, whatever waits before it', () => {
  const tested = new RunOrder<Numbered>(2);
  const [first, second, third] = ['/a', '/a', '/b'].map((path, n) => ({ n, devpaths: [path] }));
  for (const job of [first, second, third]) tested.add(job);
  assert.equal([tested.begin(), tested.begin(), tested.begin()], [first, third, undefined]);
  tested.end(first);
  assert.equal([tested.begin(), tested.waiting], [second, 0]);
});

order('runs siblings in parallel, and their parent neither before nor after its turn', () => {
  const tested = new RunOrder<Numbered>(8);
  const jobs = ['/d/one', '/d/two', '/d', '/d/three', '/dd', '/e'].map((path, n) => ({
    n,
    devpaths: [path],
  }));
  for (const job of jobs) tested.add(job);
  const begin = (): number[] => {
    const begun: number[] = [];
    for (let job = tested.begin(); job !== undefined; job = tested.begin()) begun.push(job.n);
    return begun;
  };
  assert.equal(begin(), [0, 1, 4, 5]);
  tested.end(jobs[0]);
  assert.equal(begin(), []);
  tested.end(jobs[1]);
  assert.equal(begin(), [2]);
  tested.end(jobs[2]);
  assert.equal(begin(), [3]);
});

order('makes a move wait for its old device and its children, and these for the move', () => {
  const tested = new RunOrder<Numbered>(8);
  const jobs = [['/old/child'], ['/new', '/old'], ['/old'], ['/new/child']].map((devpaths, n) => ({
    n,
    devpaths,
  }));
  for (const job of jobs) tested.add(job);
  assert.equal([tested.begin(), tested.begin()], [jobs[0], undefined]);
  tested.end(jobs[0]);
  assert.equal([tested.begin(), tested.begin()], [jobs[1], undefined]);
  tested.end(jobs[1]);
  assert.equal([tested.begin(), tested.begin()], [jobs[2], jobs[3]]);
});

order.run();
