/**
 * Refuses paths that are empty, as by a variable of a script that is not set. A system call would
 * say that there is no such file.
 */
import type { Command } from 'commander';
import { UsageError } from '../../shared/errors.js';
import { checkValues } from './option-values.js';

/** The names of values that are paths, with what to give: the completions go by them too. */
const NOUNS = new Map([
  ['dir', 'a directory'],
  ['file', 'a file'],
  ['path', 'a path'],
]);

/** Has a program and its commands refuse an empty path as the value of an option. */
export function refuseEmptyPaths(program: Command): void {
  checkValues(program, (name, { long }) => {
    const noun = NOUNS.get(name);
    if (noun === undefined) return undefined;
    return (value) => {
      if (value === '') throw new UsageError(`${long}: it is empty (give ${noun})`);
    };
  });
}
