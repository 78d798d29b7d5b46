/**
 * Checks the histories of a directory, and prints figures and violations. Exits with 1 if there is
 * a violation.
 *
 *     node dist/tools/history/main.js DIRECTORY [LONGEST_MS]
 */
import { checkHistories } from './check.js';
import { readHistories } from './lines.js';

const DEFAULT_LONGEST_MS = 10_000;

const [directory, longestMs = DEFAULT_LONGEST_MS] = process.argv.slice(2);
if (directory === undefined || !(Number(longestMs) > 0))
  throw new Error('usage: node dist/tools/history/main.js DIRECTORY [LONGEST_MS]');

const found = checkHistories(readHistories(directory), { longest: Number(longestMs) * 1e6 });
console.log(found.report());
process.exitCode = found.violations.length > 0 ? 1 : 0;
