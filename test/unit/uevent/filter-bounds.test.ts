/** The bounds of a filter, its cost, and random filters. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { anyCharacter } from '../../support/runner/any-character.js';
import { cpuMs } from '../../support/runner/budget.js';
import {
  FILTER_LIMITS,
  Filter,
  FilterError,
  OversizedFilter,
} from '../../../fs/uevent/filter/filter.js';
import { event, stick, valuesOf } from './matchable.js';

const filter = suite('a filter');

/** Returns the error of a too large filter, or the filter's text. */
function bounded(text: string, limits = FILTER_LIMITS): string {
  try {
    return Filter.parse(text, limits).text;
  } catch (error) {
    assert.instance(error, OversizedFilter);
    return `${(error as OversizedFilter).what}: ${(error as OversizedFilter).message}`;
  }
}

filter('has bounds, and the error names the exceeded one', () => {
  const of = (count: number, text: string, separator: string): string =>
    new Array(count).fill(text).join(separator);
  for (const separator of [', ', '\n']) {
    assert.is(bounded(of(64, 'A==b', separator)), of(64, 'A==b', separator));
    assert.is(bounded(of(65, 'A==b', separator)), 'terms: a filter has at most 64 terms');
  }
  for (const quote of ['', '"']) {
    assert.is(bounded(`A==${quote}${of(32, 'b', '|')}${quote}`), `A==${of(32, 'b', '|')}`);
    assert.is(
      bounded(`A==${quote}${of(33, 'b', '|')}${quote}`),
      'alternatives: a term has at most 32 alternatives',
    );
  }
  assert.is(bounded(`A==${'b'.repeat(4093)}`).length, 4096);
  assert.is(bounded(`A==${'b'.repeat(4094)}`), 'text: a filter has at most 4096 bytes');
  assert.is(
    bounded(of(3, 'A==b', '\n'), { text: 14, terms: 2, alternatives: 1 }),
    'terms: a filter has at most 2 terms',
  );
  assert.is(
    bounded(of(3, 'A==b', '\n'), { text: 13, terms: 2, alternatives: 1 }),
    'text: a filter has at most 13 bytes',
  );
});

filter('has a cost in proportion to the work of a match', () => {
  const cost = (text: string): number => Filter.parse(text).cost;
  assert.is(cost(''), 0);
  assert.ok(cost('A==b') < 5);
  assert.ok(cost('A==b|c|d') > cost('A==b'));
  assert.ok(cost('A==b, C==d') > cost('A==b'));
  assert.ok(cost('A==b*') < 5 && cost('A==*b') < 5);
  assert.ok(cost('A==*b*') > 50);
  assert.ok(cost('A==*b*|*c*') > 1.9 * cost('A==*b*'));
  assert.ok(
    cost('A==*b*c*d*') < 1.1 * cost('A==*b*'),
    'they are searched for one behind the other',
  );
});

const key = fc.constantFrom('SUBSYSTEM', 'ACTION', 'KERNEL', 'TAGS', 'A_1.b');
const quotedUnit = fc.constantFrom(
  ...'ab*?[]!^-,; \n\t=#\xe9',
  '\\a',
  '\\*',
  '\\"',
  '\\\\',
  '\\|',
  '\\\n',
  '|',
);
const wordUnit = fc.constantFrom(
  ...'ab*?[]!^-=#\xe9',
  '\\a',
  '\\,',
  '\\"',
  '\\\\',
  '\\ ',
  '|',
  ' | ',
);
const pattern = fc.oneof(
  fc.string({ unit: quotedUnit, maxLength: 8 }).map((text) => `"${text}"`),
  fc.string({ unit: wordUnit, minLength: 1, maxLength: 8 }),
);
// a `=` and a pattern that begins with one would be `==`
const operator = fc.constantFrom('==', '= ', '!=', ' == ');
const term = fc.tuple(key, operator, pattern).map((words) => words.join(''));
const rule = fc.array(term, { minLength: 1, maxLength: 4 }).map((terms) => terms.join(' , '));
const goodText = fc
  .tuple(fc.array(rule, { maxLength: 4 }), fc.constantFrom('\n', ' ; '))
  .map(([rules, separator]) => rules.join(separator));
const anyText = fc.oneof(
  fc.string({ unit: anyCharacter, maxLength: 40 }),
  fc.string({ unit: fc.constantFrom('A', 'SUBSYSTEM', ...'=!|,;"\\\n # [*\0'), maxLength: 25 }),
  goodText,
  fc.tuple(goodText, fc.nat(), fc.constantFrom(...'"\\|,;= \n#a')).map(([text, at, char]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + char + text.slice(place);
  }),
);
const anyValue = fc.string({ unit: fc.constantFrom(...'ab[]\\, \xe9'), maxLength: 4 });
const anyEvent = fc
  .tuple(anyValue, anyValue, anyValue, anyValue)
  .map(([action, devpath, subsystem, other]) =>
    event(action, devpath, { SUBSYSTEM: subsystem, TAGS: `:${other}:a:` }),
  );

filter('throws nothing but FilterError, at a column of the text', () => {
  let good = 0;
  let bad = 0;
  fc.assert(
    fc.property(anyText, anyEvent, (text, what) => {
      try {
        Filter.parse(text).matches(what);
        good += 1;
      } catch (thrown) {
        assert.instance(thrown, FilterError);
        const { column } = thrown as FilterError;
        assert.ok(column >= 1 && column <= text.length + 1, `column ${column} of ${text.length}`);
        bad += 1;
      }
    }),
    { numRuns: 5000 },
  );
  assert.ok(good > 500 && bad > 500, `${good} good, ${bad} bad: the sample shows little`);
});

filter('has a text that parses to the same filter', () => {
  fc.assert(
    fc.property(goodText, anyEvent, (text, what) => {
      const once = Filter.parse(text);
      const twice = Filter.parse(once.text);
      assert.is(twice.text, once.text);
      assert.equal(twice.ways(), once.ways());
      assert.is(twice.cost, once.cost);
      assert.is(twice.all, once.all);
      assert.is(twice.matches(what), once.matches(what));
    }),
    { numRuns: 3000 },
  );
});

filter('matches no event that none of its branches finds', () => {
  const value = fc.constantFrom('a', 'b', 'c', '');
  const some = fc.array(fc.constantFrom('a', 'b', '', 'c', '?'), { minLength: 1, maxLength: 3 });
  const about = fc
    .tuple(fc.constantFrom('SUBSYSTEM', 'HOST'), fc.constantFrom('==', '!='), some)
    .map(([key, op, all]) => `${key}${op}"${all.join('|')}"`);
  const text = fc.array(
    fc.array(about, { minLength: 1, maxLength: 3 }).map((terms) => terms.join()),
    { maxLength: 3 },
  );
  fc.assert(
    fc.property(text, value, value, (rules, subsystem, host) => {
      const has: Record<string, string> = { SUBSYSTEM: subsystem, HOST: host };
      for (const rule of rules) {
        const parsed = Filter.parse(rule);
        if (!parsed.matches(event('add', '/x', has))) continue;
        assert.is(parsed.ways().length, 1, rule);
        for (const { key, values } of parsed.ways()[0]) assert.ok(values.includes(has[key]), rule);
      }
    }),
    { numRuns: 3000 },
  );
});

filter('of 10,000 terms tells well within a second what it matches', () => {
  const terms = Array.from(
    { length: 10_000 },
    (_, i) => `KEY_${i % 100}!="value ${i}"|v[a-f]?${i}*|x`,
  );
  for (const separator of [', ', '\n', ' ; ']) {
    const start = cpuMs();
    const parsed = Filter.parse(terms.join(separator));
    assert.ok(parsed.matches(stick));
    const ms = cpuMs() - start;
    assert.ok(ms < 1000, `took ${ms} ms`);
    assert.is(Filter.parse(parsed.text).text, parsed.text);
  }
});

filter('of 10,000 terms lists its values as fast', () => {
  const names = Array.from({ length: 10_000 }, (_, i) => `s${i}`);
  const start = cpuMs();
  const excluded = names.map((name) => `SUBSYSTEM!=${name}`).join();
  assert.equal(valuesOf('SUBSYSTEM', `SUBSYSTEM==${names.join('|')}|last, ${excluded}`), ['last']);
  assert.is(
    valuesOf('SUBSYSTEM', names.map((name) => `SUBSYSTEM==${name}`).join('\n'))?.length,
    10_000,
  );
  const ms = cpuMs() - start;
  assert.ok(ms < 1000, `took ${ms} ms`);
});

filter('parses 64 KiB of opening brackets, quotes or blanks', () => {
  for (const text of ['[', '"', ' ', '(', '\\\n', '|', ',', 'A', '#']) {
    const start = cpuMs();
    try {
      Filter.parse(`A==${text.repeat(65_536)}`);
    } catch (thrown) {
      assert.instance(thrown, FilterError);
    }
    const ms = cpuMs() - start;
    assert.ok(ms < 1000, `${JSON.stringify(text)} took ${ms} ms`);
  }
});

filter('matches a pattern with many stars in bounded time', () => {
  const parsed = Filter.parse('A==*a*a*a*a*b');
  const long = event('add', '/x', { A: 'a'.repeat(64 * 1024) });
  const start = cpuMs();
  assert.not(parsed.matches(long));
  assert.ok(cpuMs() - start < 100);
});

filter.run();
