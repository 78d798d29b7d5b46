/** The completions offer in real shells what the command line accepts. They start no Node. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { completions, commandLine } from '../../../tools/manual/product.js';
import { type Ask, type Line, askBash, askFish, askZsh } from '../../support/clients/shells.js';
import { need } from '../../support/runner/programs.js';
import { suite } from '../../support/runner/suite.js';

const COMMANDS = commandLine.commands.map(({ name }) => name);

/**
 * Lines, each with its only offers. The directory has a directory Dir and a file Dim; PATH has the
 * program eventfs-probe.
 */
const CASES: readonly (readonly [Line, readonly string[]])[] = [
  [[''], COMMANDS],
  [['mo'], ['mount']],
  [['help', 'um'], ['umount']],
  [['mount', '--dr'], ['--driver']],
  [['watch', '--json', '--m'], ['--mount']],
  [['watch', 'SUBSYSTEM==mem', '--pr'], ['--properties']],
  [
    ['mount', '--driver', ''],
    ['devfuse', 'fuse-native'],
  ],
  [['mount', '--driver=f'], ['fuse-native']],
  [['mount', '--sticky', 'global:1733', '--transport', 're'], ['read']],
  [['mount', '--log-level', 'warn', 'Di'], ['Dir']],
  [['mount', '--debug', 'Di'], ['Dir']],
  [['umount', 'Di'], ['Dir']],
  [['status', '--mount', 'Di'], ['Dir']],
  [
    ['doctor', '--config', 'Di'],
    ['Dim', 'Dir'],
  ],
  [['exec', '--', 'eventfs-pro'], ['eventfs-probe']],
  [['exec', '--label', 'eventfs-pro', 'eventfs-pro'], ['eventfs-probe']],
  [
    ['exec', '--', 'cat', 'Di'],
    ['Dim', 'Dir'],
  ],
  [['exec', 'cat', 'mount', '--driv'], []],
  [['run', '--jobs', '2', 'SUBSYSTEM==mem', '--', 'eventfs-pro'], ['eventfs-probe']],
  [
    ['run', 'SUBSYSTEM==mem', '--', 'cat', 'Di'],
    ['Dim', 'Dir'],
  ],
  [['watch', 'mo'], []],
];

/** The options of each command. */
const OPTIONS: readonly (readonly [Line, readonly string[]])[] = commandLine.commands
  .map(({ name, options }) => [name, options.flatMap(({ names }) => names)] as const)
  .filter(([, names]) => names.length > 0)
  .map(([name, names]) => [[name, '--'], names.filter((word) => word.startsWith('--'))]);

const SHELLS: Readonly<Record<string, readonly [string, Ask]>> = {
  bash: ['eventfs.bash', askBash],
  zsh: ['_eventfs', askZsh],
  fish: ['eventfs.fish', askFish],
};

const completion = suite('the completion');
const scratch = mkdtempSync(join(tmpdir(), 'eventfs-completion-'));
const ran = join(scratch, 'ran');
const place = { directory: join(scratch, 'here'), programs: join(scratch, 'bin') };

completion.before(() => {
  mkdirSync(join(place.directory, 'Dir'), { recursive: true });
  writeFileSync(join(place.directory, 'Dim'), '');
  mkdirSync(place.programs);
  for (const name of ['eventfs-probe', 'node']) {
    const file = join(place.programs, name);
    writeFileSync(file, `#!/bin/sh\necho "$0 ran" >>${ran}\n`);
    chmodSync(file, 0o755);
  }
});
completion.after(() => rmSync(scratch, { recursive: true, force: true }));

const plain = (words: readonly string[]): string[] =>
  [...new Set(words.map((word) => word.trimEnd().replace(/\/$/, '')))].sort();

for (const [shell, [file, ask]] of Object.entries(SHELLS)) {
  completion(`for ${shell} offers what the parser knows`, () => {
    need(shell);
    const cases = [...CASES, ...OPTIONS];
    const found = ask(
      completions()[file],
      cases.map(([line]) => line),
      place,
    );
    assert.is(found.length, cases.length);
    for (const [index, [line, expected]] of cases.entries())
      assert.equal(plain(found[index]), plain(expected), `${shell}: eventfs ${line.join(' ')}`);
    assert.not.ok(existsSync(ran), 'node or a command ran at TAB');
  });
}

completion.run();
