/** The programs of test/programs that measure: a test asserts on what one finds, where the benchmarks print it. */
import * as assert from 'uvu/assert';
import { join } from 'node:path';
import { PROJECT, run } from './daemon.js';

/** The path of a program, which `buildClients` builds. */
export function measuring(name: string): string {
  return join(PROJECT, 'test/build', name);
}

/** Runs one to its end, which must be a good one; gives the `name=value` words that it prints. */
export async function measure(
  name: string,
  args: readonly (string | number)[],
  options: { timeoutMs: number; signal?: NodeJS.Signals },
): Promise<Map<string, string>> {
  const { out, err, code } = await run([measuring(name), ...args.map(String)], options);
  assert.is(code, 0, `${name}: ${err}`);
  return new Map(
    out
      .trim()
      .split(' ')
      .map((word) => word.split('=') as [string, string]),
  );
}
