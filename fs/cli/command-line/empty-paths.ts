/**
 * Refuses paths that are empty, as by a variable of a script that is not set. A system call would
 * say that there is no such file.
 */
import type { Command } from 'commander';
import { UsageError } from '../../shared/errors.js';

/** The names of values that are paths, with what to give: the completions go by them too. */
const NOUNS = new Map([
  ['<dir>', 'a directory'],
  ['<file>', 'a file'],
  ['<path>', 'a path'],
]);

/** Has a program and its commands refuse an empty path as the value of an option. */
export function refuseEmptyPaths(program: Command): void {
  for (const command of [program, ...program.commands])
    for (const option of command.options) {
      const noun = NOUNS.get(option.flags.slice(option.flags.lastIndexOf(' ') + 1));
      if (noun === undefined) continue;
      command.on(`option:${option.name()}`, (value: string) => {
        if (value === '') throw new UsageError(`${option.long}: it is empty (give ${noun})`);
      });
    }
}
