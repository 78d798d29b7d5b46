/**
 * The layout of the folders. dependency-cruiser checks which folder may import which (`make lint`).
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../support/project.js';
import { trackedFiles } from '../support/runner/checkout.js';
import { suite } from '../support/runner/suite.js';

const folders = suite('the source');

/** The largest number of files in a folder, so that one look takes it in. */
const MOST_FILES = 15;

folders('has at most 15 files in each folder', () => {
  const counts = new Map<string, number>();
  for (const top of ['fs', 'test/unit', 'test/support', 'test/programs']) {
    for (const name of readdirSync(join(PROJECT, top), { recursive: true, encoding: 'utf8' })) {
      const folder = dirname(join(top, name));
      if (/\.(ts|c|h)$/.test(name)) counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
  }
  assert.equal(
    [...counts].filter(([, count]) => count > MOST_FILES),
    [],
  );
});

/** The entries of the top level: a new one goes in here with the commit that adds it. */
const TOP_LEVEL = [
  ...['.ci', '.clang-format', '.dependency-cruiser.cjs', '.editorconfig', '.gitignore'],
  ...['.prettierignore', '.prettierrc.json', 'CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE'],
  ...['Makefile', 'README.md', 'SECURITY.md', 'benchmarks', 'bin', 'binding.gyp', 'docs'],
  ...['eslint.config.js', 'examples', 'fs', 'native', 'package-lock.json', 'package.json'],
  ...['packaging', 'test', 'tools', 'tsconfig.json'],
];

folders('has no entry at the top level that is not on the list', () => {
  const tracked = trackedFiles() ?? [];
  const entries = [...new Set(tracked.map((path) => path.split('/')[0]))];
  assert.equal(
    entries.filter((entry) => !TOP_LEVEL.includes(entry)),
    [],
  );
});

folders.run();
