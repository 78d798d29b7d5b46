/**
 * Runs the system calls of programs for other event directories
 * (test/programs/clients/sequences.c).
 */
import * as assert from 'uvu/assert';
import { compiled } from '../../support/clients/compiled.js';
import { run } from '../../support/mount/daemon.js';

/** Runs a sequence to its end. @returns its output lines */
export async function sequence(...args: string[]): Promise<string[]> {
  const { out, err, code } = await run([compiled('sequences'), ...args]);
  assert.is(code, 0, out + err);
  return out.split('\n').slice(0, -1);
}
