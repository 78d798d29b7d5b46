/** docs/reference/cli.md has a section for each command with each of its options, and no other. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { createProgram } from '../../fs/cli/command-line/program.js';
import { readDocument } from '../support/documents/markdown.js';
import { EVENTFS_SCRIPT } from '../support/project.js';
import { suite } from '../support/runner/suite.js';

/** The options that every command has, and `compare`, which only a clone has. */
const COMMON = ['--help', '--mount'];
const OF_A_CLONE = 'compare';

const reference = suite('the reference');

const program = createProgram();
const sorted = (options: Iterable<string>): string[] =>
  [...new Set(options)].filter((option) => !COMMON.includes(option)).sort();

/** Returns the text of `eventfs help COMMAND`, without a start of Node for each. */
function helpOf(command: string): string {
  return program.commands.find((each) => each.name() === command)!.helpInformation();
}

/** Returns the options of a command. */
function declared(command: string): string[] {
  return sorted(
    [...helpOf(command).matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option),
  );
}

/** Returns the options that a command's section names outside of its examples. */
function described(command: string): string[] {
  return sorted(
    section(command)
      .replaceAll(/```[^]*?```/g, '')
      .match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [],
  );
}

/** Returns the text of a command's section without the commands of its examples. */
function section(command: string): string {
  const [, text] = readDocument('docs/reference/cli.md').split(
    new RegExp(`^## eventfs ${command}\\b.*$`, 'm'),
  );
  assert.ok(text !== undefined, `docs/reference/cli.md has no section for ${command}`);
  return text.split(/^## /m)[0];
}

reference(
  'has each command with its options',
  () => {
    const help = execFileSync(process.execPath, [EVENTFS_SCRIPT, 'help'], { encoding: 'utf8' });
    const commands = [...help.matchAll(/^ {2}([a-z]\w*) /gm)]
      .map(([, name]) => name)
      .filter((name) => name !== 'help' && name !== OF_A_CLONE);
    assert.ok(commands.length > 10, commands.join(' '));
    for (const command of commands) assert.equal(described(command), declared(command), command);
  },
  120_000,
);

reference.run();
