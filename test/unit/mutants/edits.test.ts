/**
 * The list of edits follows the sources: each edit still applies, and names existing test files.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../../support/daemon.js';
import { suite } from '../../support/suite.js';
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

edits('has a reason, and names existing test files', () => {
  const files = (readdirSync(join(PROJECT, 'test'), { recursive: true }) as string[]).filter(
    (file) => file.endsWith('.test.ts'),
  );
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

edits('is in the list once', () => {
  const keys = all.map((edit) => `${edit.file}\n${edit.old}\n${edit.new}`);
  assert.is(new Set(keys).size, keys.length);
});

edits.run();
