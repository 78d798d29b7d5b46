/** Checks the values of options as commander parses them. */
import type { Command, Option } from 'commander';

/**
 * Adds checks to the options of a program and its commands that take a value.
 *
 * @param checkOf returns the check for an option whose help calls its value `name`, as in `dir`;
 *   undefined if the option has none
 */
export function checkValues(
  program: Command,
  checkOf: (name: string, option: Option) => ((value: string) => void) | undefined,
): void {
  for (const command of [program, ...program.commands])
    for (const option of command.options) {
      const name = /[<[](.+)[>\]]/.exec(option.flags)?.[1];
      const check = name === undefined ? undefined : checkOf(name, option);
      if (check !== undefined) command.on(`option:${option.name()}`, check);
    }
}
