/** The paths of the project's files. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root. This file is compiled to dist/test/support/. */
export const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** The command. */
export const EVENTFS = join(PROJECT, 'bin/eventfs');
/** The Node program that the command starts. */
export const EVENTFS_SCRIPT = join(PROJECT, 'bin/eventfs.cjs');
/** Starts the command without the shell: signals and strace reach Node's process itself. */
export const EVENTFS_NODE: readonly string[] = [process.execPath, EVENTFS_SCRIPT];
export const EMIT_HELPER = join(PROJECT, 'build/Release/eventfs-emit');

/**
 * Returns the path of a module of test/support/preloads, for `node --import`. It changes a daemon
 * before the daemon starts.
 */
export function preload(name: string): string {
  return join(PROJECT, 'dist/test/support/preloads', `${name}.js`);
}

/** Starts the command with such a module: see {@link preload}. */
export function withPreload(name: string): readonly string[] {
  return [process.execPath, '--import', preload(name), EVENTFS_SCRIPT];
}
