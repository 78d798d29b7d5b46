/** The modules that a daemon loads before it serves: clients wait while a guardian starts it. */
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import * as assert from 'uvu/assert';
import { PROJECT } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const FS = join(PROJECT, 'dist/fs');
/** The files that are loaded one after the other. */
const STEPS = [
  'cli/main.js',
  'cli/command-line/mount-program.js',
  'cli/commands/mount/mount.js',
  'daemon/daemon.js',
  'drivers/devfuse/devfuse.js',
];
/** Parts that only other commands need, or some options, or a daemon later. */
const OTHERS = new RegExp(
  [
    /^(bridge|library|drivers\/fuse-native)\//,
    /^outlets\/(?!open-outlets)/,
    /^fuse\/describe/,
    /^cli\/(doctor|commands\/(?!mount\/))/,
    /^cli\/command-line\/(event|maintenance|bridge|values)/,
    /^daemon\/(prepare|warm-up|check)/,
    /^guard\/(s6|systemd)/,
  ]
    .map(({ source }) => source)
    .join('|'),
);

const start = suite('the start of a daemon');

/** Returns a file and all that it imports statically: files below dist/fs, and packages. */
function loaded(file: string, all = new Set<string>()): Set<string> {
  if (all.has(file)) return all;
  all.add(file);
  for (const [, from] of readFileSync(join(FS, file), 'utf8').matchAll(
    /^(?:import|export)\b(?:[^;']*?from)? '([^']+)';/gms,
  ))
    if (from.startsWith('.')) loaded(relative(FS, join(FS, dirname(file), from)), all);
    else if (!from.startsWith('node:')) all.add(from);
  return all;
}

start('loads no code of other commands, and none of options that are not given', () => {
  const all = new Set(STEPS.flatMap((file) => [...loaded(file)]));
  assert.ok(all.has('tree/restore/restore.js'), 'the search finds imports');
  assert.equal(
    [...all].filter((file) => OTHERS.test(file)),
    [],
  );
  assert.equal([...all].filter((file) => !file.endsWith('.js')).sort(), ['#native', 'commander']);
});
start.run();
