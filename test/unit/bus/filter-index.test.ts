import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { Event } from '../../../fs/bus/event.js';
import { FilterIndex } from '../../../fs/bus/filter-index.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { now } from '../../../fs/shared/timestamp.js';
import { Log } from '../../../fs/bus/log.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { bytes } from './reading.js';

const index = suite('an index of filters');

class Subscriber {
  constructor(public filter: Filter) {}
}

const log = new Log({ bytes: 4096, events: 16 });

/** Returns an event of a subsystem, of none, or an overflow record. */
function event(subsystem: string | null, tellsOfLoss = false): Event {
  const text = `add@/x\n${subsystem === null ? '' : `SUBSYSTEM=${subsystem}\n`}`;
  const made = log.append('1', 2, bytes(text), text.length, now());
  made.always = tellsOfLoss;
  return made;
}

function offered(to: FilterIndex<Subscriber>, what: Event): Subscriber[] {
  const takers: Subscriber[] = [];
  to.offer(what, (taker) => takers.push(taker));
  return takers;
}

index('offers an event to the filters of its subsystem, and to those without a subsystem', () => {
  const takers = new FilterIndex<Subscriber>();
  const [all, usb, net, both, never, not] = [
    '',
    'SUBSYSTEM==usb',
    'SUBSYSTEM==net',
    'SUBSYSTEM==usb|net',
    'SUBSYSTEM==a, SUBSYSTEM==b',
    'SUBSYSTEM!=usb',
  ].map((text) => new Subscriber(Filter.parse(text)));
  for (const taker of [all, usb, net, both, never, not]) takers.add(taker);
  assert.equal(new Set(offered(takers, event('usb'))), new Set([all, usb, both, not]));
  assert.equal(new Set(offered(takers, event('block'))), new Set([all, not]));
  assert.equal(new Set(offered(takers, event(null))), new Set([all, not]));
  assert.equal(
    new Set(offered(takers, event(null, true))),
    new Set([all, usb, net, both, never, not]),
  );
  takers.remove(usb);
  assert.equal(new Set(offered(takers, event('usb'))), new Set([all, both, not]));
});

const subsystem = fc.constantFrom('a', 'b', 'c', null);
const term = fc
  .tuple(
    fc.constantFrom('==', '!='),
    fc.array(fc.constantFrom('a', 'b', '', 'c', '?'), { minLength: 1, maxLength: 3 }),
  )
  .map(([operator, names]) => `SUBSYSTEM${operator}"${names.join('|')}"`);
const filter = fc
  .array(fc.array(term, { minLength: 1, maxLength: 2 }), { maxLength: 2 })
  .map((rules) => rules.map((terms) => terms.join()).join(';'));
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ add: filter }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ change: fc.nat(99), to: filter }) },
  { weight: 4, arbitrary: fc.record({ come: subsystem, loss: fc.boolean() }) },
);

index('omits no filter that matches an event, and asks none twice', () => {
  const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const takers = new FilterIndex<Subscriber>();
    const all: Subscriber[] = [];
    for (const one of steps) {
      if ('add' in one) {
        const taker = new Subscriber(Filter.parse(one.add));
        all.push(taker);
        takers.add(taker);
      } else if ('come' in one) {
        const come = event(one.come, one.loss);
        const asked = offered(takers, come);
        assert.is(new Set(asked).size, asked.length);
        for (const taker of all)
          if (one.loss || taker.filter.matches(come))
            assert.ok(asked.includes(taker), taker.filter.text);
      } else if (all.length > 0 && 'remove' in one) {
        const [taker] = all.splice(one.remove % all.length, 1);
        takers.remove(taker);
        assert.not.ok(offered(takers, event('a', true)).includes(taker));
      } else if (all.length > 0 && 'change' in one) {
        const taker = all[one.change % all.length];
        takers.remove(taker);
        taker.filter = Filter.parse(one.to);
        takers.add(taker);
      }
    }
  });
  fc.assert(property, runs(1000));
});

/** Returns an event with any text. */
function eventOf(text: string): Event {
  return log.append('1', 2, bytes(text), text.length, now());
}

index("looks only at the filters with the event's value, for any key", () => {
  for (const [key, line] of [
    ['HOST', 'HOST=x'],
    ['KERNEL', ''],
    ['DEVPATH', ''],
    ['TAGS', 'TAGS=:q:x:'],
  ] as const) {
    const takers = new FilterIndex<Subscriber>();
    const value = key === 'DEVPATH' ? '/d/x' : 'x';
    const [mine, ...others] = [
      `${key}==${value}`,
      ...Array.from({ length: 99 }, (_, n) => `${key}==y${n}`),
    ].map((text) => new Subscriber(Filter.parse(`${text}, SUBSYSTEM==net, ACTION==add`)));
    for (const taker of [...others, mine]) takers.add(taker);
    const come = eventOf(`add@/d/x\nSUBSYSTEM=net\n${line}\n`);
    assert.equal(offered(takers, come), [mine], key);
  }
});

index('looks only at the filters with the source of the event, whatever its text says', () => {
  const takers = new FilterIndex<Subscriber>();
  const [mine, ...others] = [
    'SOURCE==publish:7',
    'SOURCE==kernel',
    ...Array.from({ length: 99 }, (_, n) => `SOURCE==publish:1${n}`),
  ].map((text) => new Subscriber(Filter.parse(text)));
  for (const taker of [...others, mine]) takers.add(taker);
  const come = eventOf('add@/d/x\nSOURCE=kernel\n');
  come.sourceId = 7;
  assert.equal(offered(takers, come), [mine]);
  assert.equal(
    [mine, ...others].filter(({ filter }) => filter.matches(come)),
    [mine],
  );
});

index('finds a filter by its rarest term', () => {
  const takers = new FilterIndex<Subscriber>();
  const all = Array.from(
    { length: 1000 },
    (_, n) => new Subscriber(Filter.parse(`HOST==same, SUBSYSTEM==s${n}, ACTION==add`)),
  );
  for (const taker of all) takers.add(taker);
  const asked = offered(takers, eventOf('add@/x\nSUBSYSTEM=s999\nHOST=same\n'));
  assert.ok(asked.includes(all[999]));
  assert.ok(asked.length <= 20, `${asked.length} were asked`);
});

index('is empty without filters, and then reads nothing of an event', () => {
  const takers = new FilterIndex<Subscriber>();
  const all = ['A==b|c', 'A==b, B==c; A==b', 'TAGS==a, TAGS==b', 'A==b, A==c', 'A!=b', ''].map(
    (text) => new Subscriber(Filter.parse(text)),
  );
  for (const taker of all) takers.add(taker);
  for (const taker of all) takers.remove(taker);
  const never = {
    always: false,
    get properties() {
      throw new Error('it was asked');
    },
  } as unknown as Event;
  assert.equal(offered(takers, never), []);
  takers.add(all[5]);
  assert.equal(offered(takers, never), [all[5]]);
});

const value = fc.constantFrom('a', 'b', 'c', '');
const anyTerm = fc
  .tuple(
    fc.constantFrom('ACTION', 'SUBSYSTEM', 'HOST', 'KERNEL', 'DEVPATH', 'TAGS', 'X'),
    fc.constantFrom('==', '==', '!='),
    fc.array(fc.constantFrom('a', 'b', '', 'c', '?', '/a'), { minLength: 1, maxLength: 3 }),
  )
  .map(([key, operator, values]) => `${key}${operator}"${values.join('|')}"`);
const anyFilter = fc
  .array(fc.array(anyTerm, { minLength: 1, maxLength: 3 }), { maxLength: 3 })
  .map((rules) => rules.map((terms) => terms.join()).join(';'));
const anyLine = fc
  .tuple(fc.constantFrom('ACTION', 'SUBSYSTEM', 'HOST', 'KERNEL', 'DEVPATH', 'X'), value)
  .map(([key, text]) => `${key}=${text}\n`);
const anyTags = fc.array(value, { maxLength: 3 }).map((tags) => `TAGS=:${tags.join(':')}:\n`);
const anyEvent = fc
  .tuple(
    value,
    value,
    fc.array(fc.oneof({ weight: 3, arbitrary: anyLine }, { weight: 1, arbitrary: anyTags }), {
      maxLength: 6,
    }),
  )
  .map(([action, name, lines]) => `${action}@/${name}\n${lines.join('')}`);

index('of any filters offers any event to all that match, each once', () => {
  const property = fc.property(
    fc.array(anyFilter, { maxLength: 8 }),
    fc.array(fc.nat(7), { maxLength: 3 }),
    fc.array(anyEvent, { maxLength: 6 }),
    (filters, gone, events) => {
      const takers = new FilterIndex<Subscriber>();
      const all = filters.map((text) => new Subscriber(Filter.parse(text)));
      for (const taker of all) takers.add(taker);
      const left = all.filter((_, n) => !gone.includes(n));
      for (const taker of all) if (!left.includes(taker)) takers.remove(taker);
      for (const text of events) {
        const come = eventOf(text);
        const asked = offered(takers, come);
        assert.is(new Set(asked).size, asked.length);
        for (const taker of left)
          if (taker.filter.matches(come))
            assert.ok(asked.includes(taker), `${taker.filter.text} of ${text}`);
        for (const taker of asked) assert.ok(left.includes(taker));
      }
    },
  );
  fc.assert(property, runs(3000));
});

index.run();
