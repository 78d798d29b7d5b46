import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Sequence } from '../../../fs/bus/sequence.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const sequence = suite('a sequence');

/** A model of a sequence, as slow and as simple as possible. */
class Model {
  items: { name: string; item: number; position: number }[] = [];
  next = 0;

  find(name: string) {
    return this.items.find((item) => item.name === name);
  }
}

type Step = (real: Sequence<number>, model: Model) => void;

/** A step by its kind and two numbers, which stand for names, items and positions. */
function step([kind, first, second]: [string, number, number]): Step {
  const name = `n${first % 48}`;
  switch (kind) {
    case 'push':
      return (real, model) => {
        if (model.find(name) !== undefined) return;
        assert.is(real.nextPosition, model.next);
        assert.is(real.push(name, second), model.next);
        model.items.push({ name, item: second, position: model.next++ });
      };
    case 'delete':
      return (real, model) => {
        assert.is(real.delete(name), model.find(name)?.item);
        model.items = model.items.filter((item) => item.name !== name);
      };
    case 'deleteFirst':
      return (real, model) => {
        const oldest = model.items.shift();
        if (oldest !== undefined) assert.is(real.delete(oldest.name), oldest.item);
      };
    case 'set':
      return (real, model) => {
        const there = model.find(name);
        if (there === undefined) return;
        real.set(there.position, second);
        there.item = second;
      };
    case 'seek':
      return (real, model) => {
        const position = first % (model.next + 3);
        const found = model.items.find((item) => item.position >= position);
        assert.is(real.seek(position), found?.position ?? -1);
      };
    default:
      return (real, model) => {
        real.clear();
        model.items = [];
      };
  }
}

const steps = fc
  .array(
    fc.tuple(
      fc.oneof(
        { weight: 100, arbitrary: fc.constant('push') },
        { weight: 50, arbitrary: fc.constant('delete') },
        { weight: 20, arbitrary: fc.constant('deleteFirst') },
        { weight: 20, arbitrary: fc.constant('set') },
        { weight: 20, arbitrary: fc.constant('seek') },
        { weight: 1, arbitrary: fc.constant('clear') },
      ),
      fc.nat(999),
      fc.nat(999),
    ),
    { maxLength: 200, size: 'max' },
  )
  .map((kinds) => kinds.map(step));

/** Asks everything that a sequence answers. */
function compare(real: Sequence<number>, { items, next }: Model): void {
  const values = items.map(({ item }) => item);
  assert.is(real.size, items.length);
  assert.is(real.first(), values[0]);
  assert.is(real.last(), values.at(-1));
  assert.is(real.nextPosition, next);
  assert.equal([...real], values);
  for (const { name, item, position } of items) {
    assert.is(real.get(name), item);
    assert.is(real.seek(position), position);
    assert.is(real.at(position), item);
  }
}

/** Walks from one item to the next, as readdir does. */
function walk(real: Sequence<number>): number[] {
  const positions: number[] = [];
  for (let position = real.seek(0); position >= 0; position = real.seek(position + 1))
    positions.push(position);
  return positions;
}

sequence('agrees with a list of names, items and positions', () => {
  const property = fc.property(steps, (all) => {
    const real = new Sequence<number>();
    const model = new Model();
    all.forEach((one, index) => {
      one(real, model);
      if (index % 8 === 0) compare(real, model);
    });
    compare(real, model);
    assert.equal(
      walk(real),
      model.items.map(({ position }) => position),
    );
    for (let name = 0; name < 48; name++)
      assert.is(real.has(`n${name}`), model.find(`n${name}`) !== undefined);
  });
  fc.assert(property, runs(3000));
});

sequence(
  'shows a walk every item that stays, once and in order, whatever is added and removed meanwhile',
  () => {
    const property = fc.property(
      steps,
      fc.array(steps, { minLength: 1, maxLength: 6 }),
      (before, between) => {
        const real = new Sequence<number>();
        const model = new Model();
        for (const one of before) one(real, model);
        const there = new Set(model.items.map(({ position }) => position));
        const met: number[] = [];
        for (
          let position = real.seek(0), at = 0;
          position >= 0 && met.length < 500;
          position = real.seek(position + 1)
        ) {
          met.push(position);
          for (const one of between[at++] ?? []) one(real, model);
        }
        const stayed = model.items
          .map(({ position }) => position)
          .filter((position) => there.has(position));
        assert.equal(
          met,
          [...new Set(met)].sort((a, b) => a - b),
        );
        for (const position of stayed) assert.ok(met.includes(position));
      },
    );
    fc.assert(property, runs(500));
  },
);

sequence('returns no position twice, not even after clear', () => {
  const real = new Sequence<string>();
  assert.is(real.push('a', 'one'), 0);
  assert.is(real.push('b', 'two'), 1);
  real.delete('b');
  assert.is(real.push('b', 'three'), 2);
  real.clear();
  assert.is(real.size, 0);
  assert.is(real.first(), undefined);
  assert.is(real.last(), undefined);
  assert.is(real.push('a', 'four'), 3);
  assert.is(real.seek(0), 3);
  assert.is(real.at(3), 'four');
});

sequence('drops the holes of a long history', () => {
  const real = new Sequence<number>();
  real.push('stays', -1);
  for (let n = 0; n < 100_000; n++) {
    real.push(`n${n}`, n);
    if (n >= 10) real.delete(`n${n - 10}`);
  }
  assert.is(real.size, 11);
  assert.equal([...real], [-1, ...Array.from({ length: 10 }, (_, i) => 99_990 + i)]);
  assert.equal(walk(real), [0, ...Array.from({ length: 10 }, (_, i) => 99_991 + i)]);
});

interface Named {
  name: string;
}

const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ push: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ prepend: fc.uniqueArray(fc.nat(20), { maxLength: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ delete: fc.nat(20) }) },
  { weight: 4, arbitrary: fc.constantFrom({ end: 'first' } as const, { end: 'last' } as const) },
  { weight: 2, arbitrary: fc.record({ rename: fc.nat(20), to: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ ask: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.constant({ index: true } as const) },
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Applies a change to both, as far as possible. */
function apply(to: readonly Sequence<Named>[], one: Change): void {
  const [lazy, indexed] = to;
  const isFree = (n: number): boolean => !indexed.has(`n${n}`);
  if ('push' in one && isFree(one.push)) {
    const item = { name: `n${one.push}` };
    assert.is(lazy.push(item.name, item), indexed.push(item.name, item));
  } else if ('prepend' in one) {
    const items = one.prepend.filter(isFree).map((n) => ({ name: `n${n}` }));
    for (const each of to)
      each.prepend(
        items.map(({ name }) => name),
        items,
      );
  } else if ('delete' in one)
    assert.is(lazy.delete(`n${one.delete}`), indexed.delete(`n${one.delete}`));
  else if ('end' in one) {
    const item = one.end === 'first' ? indexed.first() : indexed.last();
    if (item !== undefined) assert.is(lazy.delete(item.name), indexed.delete(item.name));
  } else if ('rename' in one && isFree(one.to)) {
    const item = indexed.get(`n${one.rename}`);
    if (item === undefined) return;
    lazy.index();
    item.name = `n${one.to}`;
    for (const each of to) each.rename(`n${one.rename}`, item.name);
  } else if ('ask' in one) assert.is(lazy.get(`n${one.ask}`), indexed.get(`n${one.ask}`));
  else if ('index' in one) lazy.index();
}

sequence('agrees whether it has its index from the start or makes it at the first use', () => {
  const property = fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
    const both = [new Sequence<Named>(({ name }) => name, 1000), new Sequence<Named>(null, 1000)];
    const [lazy, indexed] = both;
    for (const one of changes) {
      apply(both, one);
      assert.is(lazy.size, indexed.size);
      assert.is(lazy.first(), indexed.first());
      assert.is(lazy.last(), indexed.last());
      assert.equal([...lazy], [...indexed]);
    }
    for (let n = 0; n <= 20; n++) assert.is(lazy.get(`n${n}`), indexed.get(`n${n}`));
    for (const { name } of indexed) assert.is(lazy.positionOf(name), indexed.positionOf(name));
  });
  fc.assert(property, runs(2000));
});

sequence.run();
