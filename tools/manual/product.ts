/**
 * The manual and the completions of this product, made from its sources: the command line that the
 * parser is built from, its exit codes, and docs/reference.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { createProgram } from '../../fs/cli/command-line/program.js';
import { EXIT_CODE_MEANINGS, ExitCode } from '../../fs/cli/terminal/explain.js';
import { type CommandLine, describe } from './command-line.js';
import { bashCompletion } from './completions/bash.js';
import { fishCompletion } from './completions/fish.js';
import { zshCompletion } from './completions/zsh.js';
import { type Page, pages } from './pages.js';

const REFERENCE = new URL('../../../docs/reference/', import.meta.url);

/** The product's own command line. */
export const commandLine: CommandLine = describe(createProgram());

/** Makes the manual of the product from its sources. */
export function manual(): Page[] {
  const names = readdirSync(REFERENCE);
  const codes = Object.keys(ExitCode) as (keyof typeof ExitCode)[];
  return pages({
    commandLine,
    exitCodes: codes.map((name) => [ExitCode[name], EXIT_CODE_MEANINGS[name]]),
    reference: Object.fromEntries(
      names.map((name) => [name, readFileSync(new URL(name, REFERENCE), 'utf8')]),
    ),
    date: buildDate().toISOString().slice(0, 10),
  });
}

/** Returns the completions of shells: their files' names and their texts. */
export function completions(): Readonly<Record<string, string>> {
  return {
    'eventfs.bash': bashCompletion(commandLine),
    _eventfs: zshCompletion(commandLine),
    'eventfs.fish': fishCompletion(commandLine),
  };
}

/**
 * Returns the present time, or the time that reproducible builds set:
 * https://reproducible-builds.org/specs/source-date-epoch/
 */
function buildDate(): Date {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  return epoch === undefined ? new Date() : new Date(Number(epoch) * 1000);
}
