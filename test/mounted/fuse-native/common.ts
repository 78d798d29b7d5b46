/** Helpers of the tests of fuse-native. */
import * as assert from 'uvu/assert';
import { Actor } from '../../support/clients/actor.js';
import { statusOf } from '../../support/clients/clients.js';
import { run, until } from '../../support/mount/daemon.js';
import { mounted, shell } from '../../support/mount/mounted.js';
import { type Suite } from '../../support/runner/suite.js';

export const DRIVER = ['--source', 'none', '--driver', 'fuse-native'] as const;

/** Makes a suite with a daemon that uses fuse-native. */
export function fuseNative(): Suite {
  const native = mounted('a mount of fuse-native', [...DRIVER, '--sticky', 'global:1733']);
  native.before(restartObserver);
  native.after(() => Actor.endAll());
  return native;
}

/** Makes system calls, and has no file open between tests. */
export let observer: Actor;

export async function restartObserver(): Promise<void> {
  await (observer as Actor | undefined)?.kill();
  observer = new Actor();
}

/** Runs commands in the suite's shell, which must succeed. @returns their output */
export async function sh(commands: string): Promise<string> {
  const { out, code } = await shell.run(commands);
  assert.is(code, 0, `${commands}: ${out}`);
  return out;
}

/** Runs a line of Python with arguments, which must succeed. @returns its output */
export async function python(line: string, ...args: string[]): Promise<string> {
  const { out, err, code } = await run(['python3', '-c', line, ...args]);
  assert.is(code, 0, err);
  return out.trim();
}

/** Resolves once `count` reads wait. */
export async function untilWaiting(directoryPath: string, count: number): Promise<void> {
  await until(
    () => statusOf(directoryPath).WAITING === String(count),
    `${count} reads did not wait`,
  );
}
