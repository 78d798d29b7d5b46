/**
 * The layout of the folders, and the sizes of files and functions. dependency-cruiser checks which
 * folder may import which, and eslint how long a function in TypeScript is (`make lint`).
 */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../support/project.js';
import { trackedFiles } from '../support/runner/checkout.js';
import { suite } from '../support/runner/suite.js';

const folders = suite('the source');

/** The largest number of files in a folder, so that one look takes it in. */
const MOST_FILES = 15;

/** Returns the paths of all sources below a folder. */
function sourcesBelow(top: string): string[] {
  return readdirSync(join(PROJECT, top), { recursive: true, encoding: 'utf8' })
    .map((name) => join(top, name))
    .filter((path) => /\.(ts|c|cc|h)$/.test(path) && !/(^|\/)(build|node_modules)\//.test(path));
}

folders('has at most 15 files in each folder', () => {
  const counts = new Map<string, number>();
  for (const top of ['fs', 'native', 'test/unit', 'test/support', 'test/programs'])
    for (const path of sourcesBelow(top))
      counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  assert.equal(
    [...counts].filter(([, count]) => count > MOST_FILES),
    [],
  );
});

/** The most lines of a file: a longer one does more than one thing. */
const MOST_LINES: Readonly<Record<string, number>> = { fs: 300, native: 300, test: 500 };

/** The files that may be longer, and why. */
const LONG_TABLES: Readonly<Record<string, string>> = {
  'native/index.d.ts': 'describes each export of the addon, and has no code',
  'test/conformance/cases.ts': 'is one list of cases, each of which stands alone',
};

const linesOf = (path: string): string[] => readFileSync(join(PROJECT, path), 'utf8').split('\n');

folders('has no file that is too long, except tables', () => {
  const long = Object.entries(MOST_LINES).flatMap(([top, most]) =>
    sourcesBelow(top).filter((path) => linesOf(path).length - 1 > most),
  );
  assert.equal(long.sort(), Object.keys(LONG_TABLES));
});

/** The most lines of a function. */
const MOST_FUNCTION_LINES = 60;
/** A line of C or C++ that ends with a brace, but begins neither a type nor a table. */
const BLOCK = /^( *)(?!namespace|class|struct|union|enum|extern|template|})\S.*(?<!= )\{$/;

/** Returns the first lines of the blocks that are too long, in the layout of clang-format. */
function longBlocks(lines: readonly string[]): string[] {
  return lines.filter((line, at) => {
    const indent = BLOCK.exec(line)?.[1].length;
    if (indent === undefined) return false;
    const end = lines.findIndex(
      (other, n) => n > at && other.search(/\S/) <= indent && /^ *\}/.test(other),
    );
    return end - at - 1 > MOST_FUNCTION_LINES;
  });
}

folders('has no function in C or C++ of more than 60 lines', () => {
  const long = sourcesBelow('native')
    .filter((path) => !path.endsWith('.ts'))
    .flatMap((path) => longBlocks(linesOf(path)).map((line) => `${path}: ${line}`));
  assert.equal(long, []);
});

folders('finds a function that is too long', () => {
  const withLines = (count: number): string[] => [
    'class Table {',
    '  int sum(int first,',
    '          int second) {',
    ...Array.from({ length: count }, () => '    first += second;'),
    '  }',
    ...Array.from({ length: MOST_FUNCTION_LINES }, (_, n) => `  int field${n};`),
    '};',
  ];
  assert.equal(longBlocks(withLines(MOST_FUNCTION_LINES)), []);
  assert.equal(longBlocks(withLines(MOST_FUNCTION_LINES + 1)), ['          int second) {']);
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
