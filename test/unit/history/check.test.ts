/**
 * The history checker: it accepts histories that can be, and finds each violation in histories that
 * cannot.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { checkHistories } from '../../../tools/history/check.js';
import { type History, type Role, parseCall } from '../../../tools/history/lines.js';
import { suite } from '../../support/runner/suite.js';
import { runs } from '../../support/runner/budget.js';

const LONGEST = 1000;

/** Makes a history of lines without a head. */
function history(role: Role, lines: readonly string[], name: string = role): History {
  return { client: name, role, calls: lines.map((line, at) => parseCall(line, at + 2)) };
}

/** Returns the rules that histories violate, without repeats. */
function violated(...histories: readonly History[]): string[] {
  const { violations } = checkHistories(histories, { longest: LONGEST });
  return [...new Set(violations.map(({ rule }) => rule))].sort();
}

const checker = suite('the history checker');

/** Two publishers; each call takes 10 ns. */
const PUBLISHED = [
  history('publish', ['110 120 publish 9 0 0 2', '130 140 publish 9 0 2 1'], 'first'),
  history('publish', ['150 160 publish 9 1 0 1'], 'second'),
];
const SUBSCRIBED = '10 20 subscribe 3 q 0 *';
const reader = (...lines: readonly string[]): History =>
  history('read', [SUBSCRIBED, ...lines, '900 910 drain -11 q 0']);

checker('accepts a reader that gets each event once, in order', () => {
  assert.equal(violated(...PUBLISHED, reader('100 200 read 99 q 0 0:0-2 1:0')), []);
  assert.equal(
    violated(...PUBLISHED, reader('100 125 read 9 q 0 0:0-1', '150 165 read 9 q 0 0:2 1:0')),
    [],
  );
});

checker('accepts a loss that a record states, before the event that follows it', () => {
  assert.equal(violated(...PUBLISHED, reader('100 200 read 99 q 0 L:2 0:2 1:0')), []);
  assert.equal(violated(...PUBLISHED, reader('100 200 read 99 q 0 0:0 L:2 1:0')), []);
});

checker('accepts either result for an event that is published while the reader opens', () => {
  const late = (items: string): History =>
    history('read', [
      '115 125 subscribe 3 q 0 *',
      `126 200 read 99 q 0 ${items}`,
      '900 910 drain -11 q 0',
    ]);
  assert.equal(violated(...PUBLISHED, late('0:0-2 1:0')), []);
  assert.equal(violated(...PUBLISHED, late('0:2 1:0')), []);
  assert.equal(violated(...PUBLISHED, late('0:2')), ['sum']);
});

const WRONG_READS: readonly [string, string, readonly string[]][] = [
  ['an event twice', '100 200 read 99 q 0 0:0-1 0:1-2 1:0', ['repeat', 'sum']],
  ['events of a publisher out of order', '100 200 read 99 q 0 0:0 0:2 0:1 1:0', ['order', 'sum']],
  ['events of two publishers out of order', '100 200 read 99 q 0 1:0 0:0-2', ['order']],
  ['an event too little', '100 200 read 99 q 0 0:0-1 1:0', ['sum']],
  ['a gap, whose loss is stated too late', '100 200 read 99 q 0 0:0 0:2 L:1 1:0', ['sum']],
  ['a loss that is too large', '100 200 read 99 q 0 L:3 0:2 1:0', ['sum']],
  ['a loss that is too small', '100 200 read 99 q 0 L:1 0:2 1:0', ['sum']],
  ['an event that was never published', '100 200 read 99 q 0 0:0-2 1:0 2:0', ['sum']],
  ['an event before it was published', '100 105 read 99 q 0 0:0-2 1:0', ['order']],
  ['an error', '100 200 read -107 q 0', ['failed', 'sum']],
  ['the end of the file', '100 200 read 0 q 0', ['failed', 'sum']],
  ['an event too late', '100 1900 read 99 q 0 0:0-2 1:0', ['late']],
];
for (const [what, line, rules] of WRONG_READS)
  checker(`finds a reader that gets ${what}`, () => {
    assert.equal(violated(...PUBLISHED, reader(line)), rules);
  });

checker('finds an event that the filter does not take', () => {
  const lines = [
    '10 20 subscribe 3 q 0 0',
    '100 200 read 99 q 0 0:0-2 1:0',
    '900 910 drain -11 q 0',
  ];
  assert.equal(violated(...PUBLISHED, history('read', lines)), ['sum']);
});

checker('finds a reader that did not read to the end', () => {
  const lines = [SUBSCRIBED, '100 200 read 99 q 0 0:0-2 1:0'];
  assert.equal(violated(...PUBLISHED, history('read', lines)), ['sum']);
});

checker('adds up the readers of one queue', () => {
  const one = (name: string, items: string): History =>
    history('read', [SUBSCRIBED, `100 200 read 99 q 0 ${items}`, '900 910 drain -11 q 0'], name);
  assert.equal(violated(...PUBLISHED, one('a', '0:0 1:0'), one('b', '0:1-2')), []);
  assert.equal(violated(...PUBLISHED, one('a', '0:0 1:0'), one('b', '0:0-2')), ['repeat', 'sum']);
  assert.equal(violated(...PUBLISHED, one('a', '0:0 1:0'), one('b', '0:2')), ['sum']);
});

checker('lets a publish that failed have taken place, or not', () => {
  const published = history('publish', ['110 120 publish -4 0 0 1', '130 140 publish 9 0 1 1']);
  assert.equal(violated(published, reader('100 200 read 99 q 0 0:0-1')), []);
  assert.equal(violated(published, reader('100 200 read 99 q 0 0:1')), []);
  assert.equal(violated(published, reader('100 200 read 99 q 0 0:0')), ['sum']);
});

const LIFE = [
  history('owner', ['100 110 mkdir 0 7.a', '120 130 stat 0 7.a']),
  history('look', ['200 300 death 0 7.a'], 'deaths'),
];
const look = (line: string): string[] => violated(...LIFE, history('look', [line]));

checker('accepts calls before and during a death, and errors after it', () => {
  for (const line of [
    '150 160 stat 0 7.a',
    '250 350 stat 0 7.a',
    '250 260 stat -2 7.a',
    '310 320 stat -2 7.a',
    '310 320 take -116 7.a',
    '50 60 stat -2 7.a',
    '150 160 stat -2 7.a/f0',
  ])
    assert.equal(look(line), [], line);
});

checker('finds a success that begins after a visible death', () => {
  for (const line of [
    '301 320 stat 0 7.a',
    '301 320 open 3 7.a/f0',
    '301 302 take 12 7.a',
    '301 302 ready 0 7.a',
  ])
    assert.equal(look(line), ['dead'], line);
});

checker('finds a living owner whose directory is gone', () => {
  for (const line of ['150 160 stat -2 7.a', '150 160 open -116 7.a/.stream'])
    assert.equal(look(line), ['alive'], line);
});

checker('finds errors of the connection, and calls that take too long', () => {
  assert.equal(look('150 160 stat -107 7.a'), ['failed']);
  assert.equal(look('150 160 stat -5 7.b'), ['failed']);
  assert.equal(look('150 1160 stat 0 7.a'), ['hung']);
  assert.equal(violated(history('owner', ['1 2 stat -2 7.a'])), ['failed']);
  assert.equal(violated(history('publish', ['1 2 publish -28 0 0 1'])), ['failed']);
});

checker('finds counters that differ at the end', () => {
  const books = (end: string): string[] =>
    violated(history('books', ['0 0 books 0 HANDLES=0 STREAMS=0', `0 0 books 0 ${end}`]));
  assert.equal(books('HANDLES=0 STREAMS=0'), []);
  assert.equal(books('HANDLES=1 STREAMS=0'), ['books']);
});

checker('refuses lines that are no calls', () => {
  for (const line of ['', '1 2 stat', '2 1 stat 0', 'x 2 stat 0', '1 2 stat x'])
    assert.throws(() => parseCall(line, 1), /is no call/, line);
});

/** Simulates some publishers and a reader whose queue holds a few events, step by step. */
function simulate(steps: readonly { publish: boolean; id: number; count: number }[]): {
  publishers: string[][];
  items: string[];
} {
  const publishers: string[][] = [[], [], []];
  const next = [0, 0, 0];
  const queue: string[] = [];
  const items: string[] = [];
  let lost = 0;
  let time = 100;
  const read = (count: number): void => {
    if (lost > 0) items.push(`L:${lost}`);
    lost = 0;
    items.push(...queue.splice(0, count));
  };
  for (const { publish, id, count } of steps) {
    time += 2;
    if (publish) {
      publishers[id].push(`${time} ${time + 1} publish 9 ${id} ${next[id]} ${count}`);
      for (let i = 0; i < count; i++) queue.push(`${id}:${next[id]++}`);
      while (queue.length > 6) {
        queue.shift();
        lost++;
      }
    } else read(count);
  }
  read(Infinity);
  return { publishers, items };
}

const STEPS = fc.array(
  fc.record({ publish: fc.boolean(), id: fc.nat(2), count: fc.integer({ min: 1, max: 4 }) }),
  { minLength: 1, maxLength: 40 },
);

function verdict(publishers: readonly string[][], items: readonly string[]): string[] {
  // All items in one read that lasts as long as the run: the rule `late` is not at stake.
  const lines = [
    '10 20 subscribe 3 q 0 *',
    `30 900 read 99 q 0 ${items.join(' ')}`,
    '910 920 drain -11 q 0',
  ];
  return violated(
    ...publishers.map((calls, id) => history('publish', calls, `p${id}`)),
    history('read', items.length === 0 ? [lines[0], lines[2]] : lines),
  );
}

checker('accepts every run of a queue with losses', () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      const { publishers, items } = simulate(steps);
      assert.equal(verdict(publishers, items), []);
    }),
    runs(200),
  );
});

checker('finds every event that is dropped, repeated, or moved behind the next one', () => {
  fc.assert(
    fc.property(STEPS, fc.nat(), fc.constantFrom('drop', 'repeat', 'swap'), (steps, where, how) => {
      const { publishers, items } = simulate(steps);
      fc.pre(items.length > 0);
      const at = where % items.length;
      const broken = [...items];
      if (how === 'drop') broken.splice(at, 1);
      else if (how === 'repeat') broken.splice(at, 0, items[at]);
      else {
        // A record of a loss may stand anywhere before the event that follows the loss.
        fc.pre(
          at + 1 < items.length && !items.slice(at, at + 2).some((item) => item.startsWith('L')),
        );
        // Events of one call, or of one publisher, have an order too: the numbers.
        broken.splice(at, 2, items[at + 1], items[at]);
      }
      assert.is.not(verdict(publishers, broken).length, 0, `${how} ${at}: ${items.join(' ')}`);
    }),
    runs(200),
  );
});

checker.run();
