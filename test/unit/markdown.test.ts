/**
 * The reader of documents (test/support/documents/markdown.ts): blocks, sessions, and the
 * comparison of an output with the expected one.
 */
import * as assert from 'uvu/assert';
import { blocks, fits, isNotRun, sessionOf } from '../support/documents/markdown.js';
import { suite } from '../support/runner/suite.js';

const markdown = suite('a document');

const DOCUMENT = `# Title
<!-- test: mount --source none -->
<!-- test: prepare mkdir /run/x -->

\`\`\`console
$ first
output

$ second \\
> goes on
\`\`\`

\`\`\`console not-run
$ third
\`\`\`

\`\`\`python client.py
print(1)
\`\`\`

<!-- test: run hidden -->
`;

markdown('is split into its blocks', () => {
  const found = blocks(DOCUMENT);
  assert.equal(
    found.map(({ line, language, info }) => [line, language, info]),
    [
      [5, 'console', ''],
      [13, 'console', 'not-run'],
      [17, 'python', 'client.py'],
    ],
  );
  assert.equal(found.map(isNotRun), [false, true, false]);
  assert.throws(() => blocks('```\nx'), 'the block of line 1 has no end');
});

markdown('has a session of commands, files and hidden blocks, in order', () => {
  assert.equal(sessionOf(DOCUMENT), {
    prepare: ['mkdir /run/x'],
    mountOptions: '--source none',
    isCopy: false,
    isOfUser: false,
    parts: [
      { line: 6, command: 'first', expected: ['output', ''] },
      { line: 9, command: 'second \\\ngoes on', expected: [] },
      { line: 17, file: 'client.py', text: 'print(1)\n' },
      { line: 21, command: 'hidden', expected: ['...'] },
    ],
  });
  assert.is(sessionOf('text\n```\nmkdir x\n```\n'), undefined);
  assert.throws(
    () => sessionOf('```console\noutput\n```'),
    'line 2: output before the first command',
  );
});

markdown('expects its output exactly, but for the parts that differ between machines', () => {
  const right: readonly (readonly [string, string])[] = [
    ['', ''],
    ['a\nb', 'a\nb\n'],
    ['a', 'a'],
    ['-r--r----- 2 root root 157 Nov 23 18:49 36943', '-r--r----- 2 root root 99 Dec  1 08:00 7\n'],
    [' 36944 change   mem', '1234567 change mem\n'],
    ['a\n...\nb', 'a\nx\ny\nb\n'],
    ['a\n...', 'a\n'],
    ['[...] x', '[1.5] x\n'],
  ];
  for (const [expected, output] of right)
    assert.ok(fits(expected === '' ? [] : expected.split('\n'), output), `${expected} | ${output}`);
  const wrong: readonly (readonly [string, string])[] = [
    ['', 'a\n'],
    ['a', ''],
    ['a', 'b\n'],
    ['6 of 6', '5 of 6\n'],
    ['a', 'a\nb\n'],
    ['a.b', 'axb\n'],
    ['a\n...\nb', 'a\nx\n'],
  ];
  for (const [expected, output] of wrong)
    assert.not.ok(
      fits(expected === '' ? [] : expected.split('\n'), output),
      `${expected} | ${output}`,
    );
});

markdown.run();
