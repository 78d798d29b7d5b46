/**
 * Runs the measuring programs of test/programs. A test asserts on a result that a benchmark prints.
 */
import * as assert from 'uvu/assert';
import { compiled } from '../clients/compiled.js';
import { run } from './daemon.js';

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
  const { out, err, code } = await run([compiled(name), ...args.map(String)], options);
  assert.is(code, 0, `${name}: ${err}`);
  return new Map(
    out
      .trim()
      .split(' ')
      .map((word) => word.split('=') as [string, string]),
  );
}
