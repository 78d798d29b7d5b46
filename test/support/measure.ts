/** The C programs of bench/, for tests: what they find is asserted on, where the benchmarks print it. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { PROJECT, run } from './daemon.js';

/** Builds them; nothing happens when they are built. */
export function buildBench(): void {
  execFileSync('make', ['-s', '-C', join(PROJECT, 'bench')]);
}

/** Runs one to its end, which must be a good one; gives the `name=value` words that it prints. */
export async function measure(
  name: string,
  args: readonly (string | number)[],
  options: { timeoutMs: number; signal?: NodeJS.Signals },
): Promise<Map<string, string>> {
  const { out, err, code } = await run([join(PROJECT, 'bench/build', name), ...args.map(String)], options);
  assert.is(code, 0, `${name}: ${err}`);
  return new Map(out.trim().split(' ').map((word) => word.split('=') as [string, string]));
}
