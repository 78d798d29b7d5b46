/**
 * Runs the measuring programs of test/programs. A test asserts on a result that a benchmark prints.
 */
import * as assert from 'uvu/assert';
import { join } from 'node:path';
import { PROJECT, run } from './daemon.js';

/** Returns the path of a program that `buildClients` builds. */
export function measuring(name: string): string {
  return join(PROJECT, 'test/build', name);
}

/**
 * Runs a program to its end.
 * @returns the `name=value` words that it prints
 * @throws AssertionError if its exit code is not 0
 */
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
