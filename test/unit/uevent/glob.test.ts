import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cpuMs } from '../../support/runner/budget.js';
import { compileGlob } from '../../../fs/uevent/filter/glob-compiler.js';

const glob = suite('a glob pattern');

/**
 * Pattern, matching values, other values, by fnmatch(3) of glibc 2.36 without flags in the C
 * locale.
 */
const FNMATCH: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['', [''], ['a']],
  ['block', ['block'], ['bloc', 'blocks', 'xblock', 'BLOCK']],
  ['*', ['', 'a', '/', '.a', '/a/b', '\xe9'], []],
  ['**', ['', 'abc'], []],
  ['?', ['a', '/', '.', '\xff'], ['', 'ab']],
  ['sd?', ['sda', 'sd/'], ['sd', 'sda1']],
  ['sd*', ['sd', 'sda1', 'sd/x'], ['asd']],
  ['*1', ['1', 'sda1', '11'], ['12', '']],
  ['*/net/*', ['/devices/net/lo', '/net/'], ['/net', 'net/']],
  ['a*b*c', ['abc', 'abbc', 'a/b/c'], ['acb', 'abcb', 'ac']],
  ['ab*ba', ['abba', 'abxba'], ['aba', 'abab']],
  ['*a*a*b', ['aab', 'aaab'], ['ab', 'aba']],
  ['?*', ['a', 'ab'], ['']],
  ['*?x?*', ['axa', 'xxx'], ['xax', 'ax', 'xa']],
  ['[abc]', ['a', 'c'], ['d', '', 'ab']],
  ['sd[a-c]', ['sda', 'sdc'], ['sdd', 'sd-']],
  ['[a-cx-z5]', ['b', 'y', '5'], ['w', '-']],
  ['[c-a]', [], ['a', 'b', 'c', '-']],
  ['[-a]', ['-', 'a'], ['b']],
  ['[a-]', ['-', 'a'], ['b']],
  ['[+--]', ['+', ',', '-'], ['.']],
  ['[a-c-e]', ['b', '-', 'e'], ['d']],
  ['[!a-c]', ['d', '!', '/'], ['a', '']],
  ['[^a-c]', ['d', '^'], ['a']],
  ['[a!]', ['a', '!'], ['b']],
  ['[a^]', ['a', '^'], ['b']],
  ['[]]', [']'], ['[', '']],
  ['[]a]', [']', 'a'], ['b']],
  ['[!]a]', ['b', '!'], [']', 'a']],
  ['[]-a]', [']', '^', 'a'], ['b', '-']],
  ['[[]', ['['], [']']],
  ['[[-]]', ['[]', '-]'], ['[', 'a]']],
  ['[?*]', ['?', '*'], ['a']],
  ['[.]', ['.'], ['a']],
  ['[/]', ['/'], ['a']],
  ['[', ['['], ['']],
  ['[abc', ['[abc'], ['a', '[abd']],
  ['[]', ['[]'], [']', '']],
  ['[!]', ['[!]'], ['a', ']']],
  ['[^]', ['[^]'], ['a']],
  ['[]*', ['[]', '[]x'], ['x']],
  ['a[b', ['a[b'], ['ab']],
  ['[*', ['[', '[x'], ['x']],
  ['[[[a]', ['[', 'a'], [']', '[[a']],
  ['a]', ['a]'], ['a']],
  ['[[:alpha:]]', ['a', 'Z'], ['5', '\xe9', '', ':']],
  ['[[:digit:][:upper:]_]', ['5', 'A', '_'], ['a']],
  ['[![:space:]]', ['a', '\xa0'], [' ', '\t', '\v', '\r']],
  ['[[:alnum:]]', ['0', 'a'], ['-']],
  ['[[:blank:]]', [' ', '\t'], ['\r']],
  ['[[:cntrl:]]', ['\x01', '\x1f', '\x7f'], [' ', '\x80']],
  ['[[:graph:]]', ['!', '~'], [' ', '\x7f']],
  ['[[:lower:]]', ['a', 'z'], ['A']],
  ['[[:print:]]', [' ', '~'], ['\t', '\x7f']],
  ['[[:punct:]]', ['!', '/', ':', '@', '[', '`', '{', '~'], ['0', 'A', 'a', ' ']],
  ['[[:xdigit:]]', ['0', 'a', 'F'], ['g', 'G']],
  ['[[:foo:]]', [], ['f', 'o', ':', ':]']],
  ['[a[:foo:]]', ['a'], ['f']],
  ['[![:foo:]]', [], ['a', 'f']],
  ['[:alpha:]', [':', 'a', 'h'], ['b']],
  ['[[:alpha]', ['[', ':', 'a', 'l'], ['b']],
  ['[[:a1:]]', ['a]', ':]', '1]'], ['a']],
  ['[[=a=]b]', ['a', 'b'], ['=', 'a]']],
  ['[[.-.]a]', ['-', 'a'], ['.']],
  ['[[.a.]-c]', ['b'], ['.', '-']],
  ['[a-[.c.]]', ['b'], ['d']],
  ['\\*', ['*'], ['a', '\\*']],
  ['\\a', ['a'], ['\\a']],
  ['\\\\', ['\\'], ['\\\\']],
  ['a\\?b', ['a?b'], ['axb']],
  ['\\[a]', ['[a]'], ['a']],
  ['a\\', [], ['a', 'a\\', '']],
  ['*\\', [], ['', 'a', '\\']],
  ['[\\]]', [']'], ['\\']],
  ['[a\\-c]', ['a', '-', 'c'], ['b', '\\']],
  ['[\\!a]', ['!', 'a'], ['b']],
  ['[!\\!]', ['a'], ['!']],
  ['[a-\\c]', ['b'], ['d']],
  ['[\\\\]', ['\\'], ['a']],
  ['[\\a]', ['a'], ['\\']],
  ['[\xe0-\xff]', ['\xe9'], ['\xdf', 'a']],
  ['\xe9*', ['\xe9t'], ['et']],
  ['[!a]*[!b]', ['ba', 'xyz'], ['bb', 'aa', 'b']],
  ['?[0-9]*[a-f]?', ['x1ax', 'x1xxbz'], ['x1a', 'xx1az']],
  ['*[0-9][0-9]', ['sda12', '12', 'a123'], ['sda1']],
  ['*[0-9]?x*y', ['1axy', '11axby'], ['1ayx', '12x']],
];

glob('agrees with fnmatch(3)', () => {
  for (const [pattern, matching, others] of FNMATCH) {
    const compiled = compileGlob(pattern);
    for (const value of matching)
      assert.ok(compiled.matches(value), `'${pattern}' takes '${value}'`);
    for (const value of others)
      assert.not(compiled.matches(value), `'${pattern}' does not take '${value}'`);
  }
});

/** The parts of a pattern, from which its text and its meaning are plain. */
type Part =
  | '*'
  | '?'
  | { byte: string; escaped: boolean }
  | { set: readonly [string, string][]; negated: boolean };

function textOf(parts: readonly Part[]): string {
  return parts
    .map((part) => {
      if (typeof part === 'string') return part;
      if ('byte' in part)
        return part.escaped || '*?[\\'.includes(part.byte) ? `\\${part.byte}` : part.byte;
      const items = part.set.map(([first, last]) =>
        first === last ? `\\${first}` : `\\${first}-\\${last}`,
      );
      return `[${part.negated ? '!' : ''}${items.join('')}]`;
    })
    .join('');
}

/** A matcher that is slow and plainly right. */
function takes(parts: readonly Part[], value: string): boolean {
  if (parts.length === 0) return value === '';
  const [part, ...rest] = parts;
  if (part === '*') return takes(rest, value) || (value !== '' && takes(parts, value.slice(1)));
  if (value === '') return false;
  const [byte] = value;
  const fits =
    part === '?' ||
    ('byte' in part
      ? part.byte === byte
      : part.set.some(([first, last]) => first <= byte && byte <= last) !== part.negated);
  return fits && takes(rest, value.slice(1));
}

// Few bytes, so that values and patterns often meet.
const byte = fc.constantFrom('a', 'b', 'c', '/', '.', '!', '-', ']', '[', '*', '\\', '\xff');
const part: fc.Arbitrary<Part> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ byte, escaped: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant('*' as const) },
  { weight: 1, arbitrary: fc.constant('?' as const) },
  {
    weight: 1,
    arbitrary: fc.record({
      set: fc.array(fc.tuple(byte, byte), { minLength: 1, maxLength: 3 }),
      negated: fc.boolean(),
    }),
  },
);
const parts = fc.array(part, { maxLength: 8 });

/** Returns a value made from the pattern itself, so that it matches, or nearly does. */
const partsAndValue = parts.chain((chosen) =>
  fc.tuple(
    fc.constant(chosen),
    fc.oneof(
      fc.string({ unit: byte, maxLength: 8 }),
      fc
        .tuple(
          ...chosen.map((one) => {
            if (one === '*') return fc.string({ unit: byte, maxLength: 3 });
            if (one === '?') return byte;
            return 'byte' in one ? fc.constant(one.byte) : fc.constantFrom(...one.set.flat(), 'b');
          }),
        )
        .map((pieces) => pieces.join('')),
    ),
  ),
);

glob('agrees with a matcher that tries everything', () => {
  let taken = 0;
  fc.assert(
    fc.property(partsAndValue, ([chosen, value]) => {
      const expected = takes(chosen, value);
      if (expected) taken += 1;
      return compileGlob(textOf(chosen)).matches(value) === expected;
    }),
    { numRuns: 5000 },
  );
  assert.ok(taken > 1000, `only ${taken} of 5000 matched: the sample shows little`);
});

const anything = fc.string({ unit: fc.constantFrom(...'[]!^-*?\\:=.alph\xe9') });

glob('parses any text', () => {
  fc.assert(
    fc.property(anything, anything, (pattern, value) => {
      compileGlob(pattern).matches(value);
    }),
    { numRuns: 5000 },
  );
});

glob('has any byte literal after a backslash', () => {
  for (let code = 1; code < 256; code++) {
    const char = String.fromCharCode(code);
    assert.is(compileGlob(`\\${char}`).literal, char);
    assert.ok(compileGlob(`[\\${char}]`).matches(char), `[\\${char}]`);
    assert.not(compileGlob(`[!\\${char}]`).matches(char), `[!\\${char}]`);
  }
});

glob('has one value if nothing in it is special', () => {
  assert.is(compileGlob('block').literal, 'block');
  assert.is(compileGlob('').literal, '');
  assert.is(compileGlob('a\\*\\b').literal, 'a*b');
  assert.is(compileGlob('a[b').literal, 'a[b');
  for (const pattern of ['*', 'block*', 'bloc?', '[a-c]', 'a\\'])
    assert.is(compileGlob(pattern).literal, null);
});

function elapsedMs(work: () => void): number {
  const start = cpuMs();
  work();
  return cpuMs() - start;
}

glob('needs no time where a matcher with backtracking stops', () => {
  const value = 'a'.repeat(64 * 1024);
  const patterns = [
    '*a*a*a*a*b',
    `${'*a'.repeat(1000)}*b`,
    `${'*?'.repeat(1000)}*b`,
    `${'*[ab]'.repeat(1000)}*b`,
    `*${'a'.repeat(1000)}b*`,
    `*${'[ab]'.repeat(30)}b*`,
  ];
  for (const pattern of patterns) {
    const compiled = compileGlob(pattern);
    let taken = true;
    const ms = elapsedMs(() => {
      taken = compiled.matches(value);
    });
    assert.not(taken);
    assert.ok(ms < 250, `${pattern.slice(0, 20)}... took ${ms} ms`);
  }
});

glob('compiles in linear time, whatever is left open', () => {
  for (const text of [
    '[',
    '[[:',
    '[[:a:]',
    '[!',
    '[a-',
    '[=',
    '[[.',
    '[]',
    '[^]',
    '*',
    '\\[',
    '[\\]',
    '[a-z',
  ]) {
    const ms = elapsedMs(() => compileGlob(text.repeat(20_000)));
    assert.ok(ms < 1000, `${text} repeated took ${ms} ms`);
  }
});

glob.run();
