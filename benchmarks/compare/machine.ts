/** Describes the machine that the figures were measured on. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { PROJECT } from '../../test/support/mount/daemon.js';
import type { Machine } from './results.js';

export function machine(): Machine {
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
    version: string;
  };
  return {
    kernel: release(),
    cpu: cpus()[0].model.trim(),
    cpus: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    eventfs: version,
    commit: firstLine('git', ['-C', PROJECT, 'describe', '--always', '--dirty']),
    compiler: firstLine('cc', ['--version']),
  };
}

/** Returns the first line of a command's output; `unknown` if the command is missing. */
function firstLine(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n')[0];
  } catch {
    return 'unknown';
  }
}
