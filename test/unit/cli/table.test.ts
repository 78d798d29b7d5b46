/** Tables, numbers and screens as the commands print them. */
import fc from 'fast-check';
import stringWidth from 'string-width';
import * as assert from 'uvu/assert';
import { age, count, duration, rateText, short } from '../../../fs/cli/terminal/numbers.js';
import { type Screen, hasColors, screenOf, shown } from '../../../fs/cli/terminal/screen.js';
import { labelled, table } from '../../../fs/cli/terminal/table.js';
import { wrap } from '../../../fs/cli/terminal/wrap.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const tables = suite('a table');

const COLUMNS = [
  { title: 'NAME', least: 4, rank: 0 },
  { title: 'PID', isNumber: true, rank: 2 },
  { title: 'LOST', isNumber: true, rank: 0 },
  { title: 'FILTER', least: 6, rank: 3 },
];

const wide = (columns: number): Screen => ({
  ...screenOf({ isTTY: true }, { LANG: 'C.UTF-8', TERM: 'dumb' }),
  columns,
});

tables('is never wider than the screen, and keeps the columns that always stay', () => {
  const cell = fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => shown(text, wide(80)));
  const number = fc.nat(99_999).map(String);
  const rows = fc.array(fc.tuple(cell, number, number, cell), { maxLength: 5 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 100 }), (cells, columns) => {
      const lines = table(COLUMNS, cells, wide(columns));
      assert.is(lines.length, cells.length + 1);
      for (const line of lines) assert.ok(stringWidth(line) <= columns, `${columns}: ${line}`);
      if (columns < 20) return;
      assert.match(lines[0], /^NAME .*LOST/);
      cells.forEach(([, , lost], at) => assert.match(lines[at + 1], lost));
    }),
    runs(200),
  );
});

tables('is printed whole where there is no terminal', () => {
  const long = 'x'.repeat(300);
  const [, row] = table(COLUMNS, [['n', '1', '2', long]], screenOf({}, {}));
  assert.is(row, `n       1     2  ${long}`);
});

tables('shrinks texts on a narrow screen, then leaves out columns', () => {
  const row = ['a-long-name', '4711', '7', 'SUBSYSTEM==block'];
  assert.equal(table(COLUMNS, [row], wide(36)), [
    'NAME         PID LOST FILTER',
    'a-long-name 4711    7 SUBSYSTEM==bl\u2026',
  ]);
  assert.equal(table(COLUMNS, [row], wide(20)), [
    'NAME        PID LOST',
    'a-long-na\u2026 4711    7',
  ]);
  assert.equal(table(COLUMNS, [row], wide(12)), ['NAME    LOST', 'a-long\u2026    7']);
});

const numbers = suite('numbers');

numbers('are short enough for their columns', () => {
  assert.equal([0, 999, 1234567].map(count), ['0', '999', '1,234,567']);
  assert.equal(
    [9999, 10_000, 123_456, 5e9].map((n) => short(n)),
    ['9999', '10.0k', '123k', '5.0G'],
  );
  assert.equal([undefined, 0, 0.001, 0.25, 3.21, 99.96, 65_500].map(rateText), [
    '-',
    '0',
    '<0.01',
    '0.25',
    '3.2',
    '100',
    '65.5k',
  ]);
  assert.equal([0, 59.9, 60, 3723, 90_000, -5].map(duration), [
    '0 s',
    '59 s',
    '1 min',
    '1 h 2 min',
    '1 d 1 h',
    '0 s',
  ]);
  assert.equal([5, 65, 7300, 1e9].map(age), ['5s', '1m', '2h', '999d']);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), (value) => {
      assert.ok(short(Math.round(value)).length <= 5);
      assert.ok(rateText(value).length <= 5);
      assert.ok(age(value).length <= 4);
    }),
    runs(200),
  );
});

const screens = suite('a screen');

screens('has colors on a terminal that has them, or by FORCE_COLOR', () => {
  assert.is(hasColors(true, { TERM: 'xterm' }), true);
  assert.is(hasColors(true, { TERM: 'dumb' }), false);
  assert.is(hasColors(true, { TERM: 'xterm', NO_COLOR: '1' }), false);
  assert.is(hasColors(false, { TERM: 'xterm', CI: '1' }), false);
  assert.is(hasColors(false, { FORCE_COLOR: '1' }), true);
});

screens('has UTF-8 by the locale, in the order of locale(7)', () => {
  const isUtf8 = (env: NodeJS.ProcessEnv): boolean => screenOf({ isTTY: true }, env).isUtf8;
  assert.is(isUtf8({ LANG: 'de_DE.UTF-8' }), true);
  assert.is(isUtf8({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' }), false);
  assert.is(isUtf8({ LANG: 'C', LC_CTYPE: 'C.utf8' }), true);
  assert.is(isUtf8({}), false);
});

screens('has 80 columns if the terminal says 0', () => {
  const { columns, rows } = screenOf({ isTTY: true, columns: 0, rows: 0 }, {});
  assert.equal([columns, rows], [80, 24]);
});

screens('shows no character that controls a terminal', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = shown(Buffer.from(bytes).toString('latin1'), wide(80));
      assert.not.match(text, /[\x00-\x1f\x7f-\x9f\u202e]/); // eslint-disable-line no-control-regex
    }),
    runs(200),
  );
});

const paragraphs = suite('a paragraph');

paragraphs('keeps its words, in lines as wide as the screen', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 });
  fc.assert(
    fc.property(words, fc.integer({ min: 12, max: 60 }), (list, width) => {
      const lines = wrap(list.join(' '), width);
      assert.equal(lines.join(' ').split(' '), list);
      assert.ok(lines.every((line) => line.length <= width));
    }),
    runs(200),
  );
  assert.equal(labelled('lost', 'none at all', wide(15)), ['lost', ' none at all']);
  assert.equal(labelled('lost', 'none at all', wide(80)), ['lost       none at all']);
});

tables.run();
numbers.run();
screens.run();
paragraphs.run();
