/** The programs that a test may lack. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { skip } from './suite.js';

/** Returns whether a program is in PATH. */
function isInstalled(program: string): boolean {
  const paths = (process.env.PATH ?? '').split(delimiter);
  return paths.some((path) => {
    try {
      accessSync(join(path, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Skips the test that calls this, unless all the programs are in PATH. */
export function need(...programs: readonly string[]): void {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length > 0) skip(`not installed: ${missing.join(', ')}`);
}
