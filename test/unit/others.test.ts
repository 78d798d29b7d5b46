/** The list of tests that .ci/fresh runs (test/support/runner/others.ts). */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../support/project.js';
import { suite } from '../support/runner/suite.js';

const others = suite('the list of tests that need another user');

const program = join(PROJECT, 'dist/test/support/runner/others.js');
const patterns = new Map(
  execFileSync(process.execPath, [program], { encoding: 'utf8' })
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t') as [string, string]),
);

others('lists each test file that runs a command as another user, with its tests', () => {
  const files = (readdirSync(join(PROJECT, 'test/mounted'), { recursive: true }) as string[])
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `mounted/${name}`);
  const imports = /import \{[^}]*\b(?:asUser|AS_NOBODY\w*|\w+ForOthers)\b[^}]*\} from/;
  for (const file of files) {
    if (!imports.test(readFileSync(join(PROJECT, 'test', file), 'utf8'))) continue;
    assert.ok(patterns.has(file.replace(/ts$/, 'js')), file);
  }
  assert.not(patterns.has('mounted/streams/poll.test.js'));
});

others('names the tests that use them, themselves or through a function', () => {
  const publish = new RegExp(patterns.get('mounted/files/publish.test.js')!);
  assert.ok(publish.test('is writable by root only, until root runs chmod and chgrp'));
  assert.not(publish.test('refuses a malformed event with EINVAL, and takes the next one'));
  const emit = new RegExp(patterns.get('mounted/command/emit.test.js')!);
  assert.ok(emit.test('tells a user without permission who may publish'));
  assert.is(patterns.get('mounted/conformance/devfuse.test.js'), '', 'a helper makes its tests');
  assert.is(patterns.get('mounted/outlets/socket.test.js'), '', 'a helper beside it');
});

others('has no character that the shell of .ci/fresh takes for its own', () => {
  for (const pattern of patterns.values()) assert.match(pattern, /^[\w .*|]*$/);
});

others.run();
