/**
 * The list of edits follows the sources: each edit still applies, and names existing test files.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { apply, readEdits } from '../../mutants/edits.js';

const edits = suite('each edit of test/mutants');
const all = readEdits();

edits('applies exactly once, and changes something', () => {
  assert.ok(all.length >= 40, `${all.length} edits`);
  for (const edit of all) {
    const source = readFileSync(join(PROJECT, edit.file), 'utf8');
    assert.is.not(apply(edit, source), source, `${edit.file}: ${edit.why}`);
  }
});

/** The test files of the project, by their paths below test/. */
const files = (readdirSync(join(PROJECT, 'test'), { recursive: true }) as string[]).filter((file) =>
  file.endsWith('.test.ts'),
);

edits('has a reason, and each of its test files exists', () => {
  for (const { file, why, tests } of all) {
    assert.ok(why.length > 20, `${file}: ${why}`);
    assert.ok(tests.length > 0, `${file}: ${why}`);
    for (const test of tests)
      assert.ok(
        files.some((name) => name.includes(test)),
        `${file} names ${test}`,
      );
  }
});

/** Returns the files beside a test file that it imports: they may add tests. */
function importsOf(name: string): string[] {
  const text = readFileSync(join(PROJECT, 'test', name), 'utf8');
  return [...text.matchAll(/ from '(\.\/[^']*)\.js'/g)].map(([, path]) =>
    join(dirname(name), `${path}.ts`),
  );
}

edits('has a pattern of test names of which each alternative occurs in its test files', () => {
  for (const { file, why, tests, names } of all) {
    const text = files
      .filter((name) => tests.some((test) => name.includes(test)))
      .flatMap((name) => [name, ...importsOf(name)])
      .map((name) => readFileSync(join(PROJECT, 'test', name), 'utf8'))
      .join('\n');
    for (const name of names?.split('|') ?? [])
      assert.match(text, new RegExp(`['"\`].*(?:${name}).*['"\`]`), `${file}: ${why}`);
  }
});

edits('is in the list once', () => {
  const keys = all.map((edit) => `${edit.file}\n${edit.old}\n${edit.new}`);
  assert.is(new Set(keys).size, keys.length);
});

edits.run();
