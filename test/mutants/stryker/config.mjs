/**
 * StrykerJS over one file of fs/, in a copy of the tree that is built once: its command runner runs
 * the tests of that folder.
 */
import process from 'node:process';

const file = process.env.EVENTFS_STRYKER;
if (file === undefined) throw new Error('EVENTFS_STRYKER names the file, as in bus/queue');
const folder = file.split('/')[0];
/** The folders whose tests run in memory, and what notices mistakes in each. */
const TESTS = { bus: 'events/ tree/since', uevent: 'events/', fuse: 'fuse/', tree: 'tree/' };
if (!(folder in TESTS))
  throw new Error(
    `${folder} is not one of ${Object.keys(TESTS).join(' ')}: see the edits of test/mutants`,
  );

export default {
  testRunner: 'command',
  buildCommand: 'node ../../node_modules/typescript/bin/tsc -p .',
  commandRunner: {
    command: `node dist/test/run.js ${process.env.EVENTFS_STRYKER_TESTS ?? TESTS[folder]}`,
  },
  mutate: [`fs/${file}.ts`],
  reporters: ['clear-text'],
  concurrency: 1,
  timeoutMS: 60_000,
  ignorePatterns: [
    'benchmarks/compare/report',
    'benchmarks/build',
    'dist',
    'test/mutants/stryker/node_modules',
  ],
  symlinkNodeModules: false,
  tempDirName: '.stryker-tmp',
  cleanTempDir: 'always',
};
