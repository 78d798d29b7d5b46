/** docs/reference/status.md explains each counter and each metric, with the words of the code. */
import * as assert from 'uvu/assert';
import {
  DAEMON_MEANINGS,
  DIRECTORY_MEANINGS,
  PATTERN_MEANINGS,
} from '../../fs/client/status-meanings.js';
import { FAMILIES } from '../../fs/tree/metrics/families.js';
import { readDocument } from '../support/documents/markdown.js';
import { suite } from '../support/runner/suite.js';

const reference = suite('the reference of counters');

/** Returns the cells of the rows of a section's table. */
function rows(section: string): string[][] {
  const [, text] = readDocument('docs/reference/status.md').split(`\n## ${section}\n`);
  return text
    .split('\n## ')[0]
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

reference('has each line of log/.status, of .status and each metric, and no other', () => {
  assert.equal(rows('log/.status'), [
    ...Object.entries(DAEMON_MEANINGS),
    ...Object.entries(PATTERN_MEANINGS),
  ]);
  assert.equal(rows('.status of a process directory'), Object.entries(DIRECTORY_MEANINGS));
  assert.equal(
    rows('log/.metrics'),
    Object.entries(FAMILIES).map(([name, [type, help]]) => [`eventfs_${name}`, type, help]),
  );
});

reference.run();
