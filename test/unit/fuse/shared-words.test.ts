/**
 * The words that C++ and TypeScript share: native/index.d.ts documents each word that
 * native/addon/shared_words.h defines, and no other.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import * as native from '#native';
import { PROJECT } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const words = suite('the shared words');
const declared = readFileSync(join(PROJECT, 'native/index.d.ts'), 'utf8');
const defined = readFileSync(join(PROJECT, 'native/addon/shared_words.h'), 'utf8');

/** Returns the lists that index.d.ts declares: their names, and the names of their words. */
const LISTS = [...declared.matchAll(/^export const (\w+): \{\n([\s\S]*?)^\};$/gm)].map(
  ([, name, body]) => ({
    name,
    words: [...body.matchAll(/^ {2}readonly (\w+): number;$/gm)].map(([, word]) => word),
  }),
);

words('are declared in the order of their indices', () => {
  for (const { name, words: names } of LISTS) {
    const actual = (native as unknown as Record<string, Record<string, number>>)[name];
    const indices = Object.fromEntries(names.map((word, index) => [word, index]));
    assert.is(names.at(-1), 'count', name);
    assert.equal({ ...actual }, indices, name);
    assert.ok(Object.isFrozen(actual), name);
  }
});

words('are declared for each list that C++ defines', () => {
  const lists = [...defined.matchAll(/^ {2}LIST\((\w+),/gm)].map(([, name]) => name);
  assert.ok(lists.length >= 10, `${lists.length} lists`);
  assert.equal(LISTS.map(({ name }) => name).sort(), lists.sort());
});

words('are declared and loaded, like every other export of the addon', () => {
  const names = [...declared.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(
    ([, name]) => name,
  );
  assert.equal(Object.keys(native).sort(), names.sort());
});

words.run();
