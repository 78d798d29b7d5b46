/** The C programs of test/programs. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { forOthers } from '../mount/other-user.js';
import { PROJECT } from '../project.js';

/** The programs that this process has built. */
const built = new Set<string>();

/**
 * Builds a program by make, which does nothing if it is up to date, and copies it to a directory
 * where every user can run it.
 * @param name the name of its source, without `.c`
 * @returns the copy's path
 */
export function compiled(name: string): string {
  if (!built.has(name)) {
    execFileSync('make', ['-s', '-C', join(PROJECT, 'test/programs'), `../build/${name}`]);
    built.add(name);
  }
  return forOthers(join(PROJECT, 'test/build', name));
}
