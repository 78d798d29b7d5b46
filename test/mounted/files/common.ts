/** Helpers of the tests of files: a directory for each test, and commands of a shell in it. */
import * as assert from 'uvu/assert';
import { directory as newDirectory, shell } from '../../support/mount/mounted.js';

/** The directory of the running test. */
export let own: string;

export async function directory(mode?: string): Promise<string> {
  own = await newDirectory(mode);
  return own;
}

/** Runs commands in the directory by the test's shell. They must succeed. @returns their output */
export async function sh(commands: string): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}\n${commands}`, 20_000);
  assert.is(code, 0, `${commands}: ${out}`);
  return out;
}

/** Runs commands likewise, which must fail. @returns their output */
export async function fails(commands: string): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}\n${commands}`);
  assert.is.not(code, 0, `'${commands}' succeeded: ${out}`);
  return out;
}

export const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** Makes a directory of the mount that is not new the directory of the running test. */
export function enter(path: string): void {
  own = path;
}
