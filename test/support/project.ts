/** Where the project's files are. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root: this file is compiled to dist/test/support/. */
export const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
export const EVENTFS = join(PROJECT, 'bin/eventfs');
export const EMIT_HELPER = join(PROJECT, 'build/Release/eventfs-emit');

/** A module of test/support/preloads, for `node --import`: it changes a daemon before that starts. */
export function preload(name: string): string {
  return join(PROJECT, 'dist/test/support/preloads', `${name}.js`);
}
