/**
 * Refuses arguments that are not UTF-8. Node puts U+FFFD in place of their bytes, so a command
 * would use a file of another name, or start another command.
 */
import type { Command } from 'commander';
import { argumentBytes } from '../../shared/argument-bytes.js';
import { UsageError } from '../../shared/errors.js';
import { quoted } from '../../shared/escape.js';
import { checkValues } from './option-values.js';

/** The names of values whose bytes the commands take from `argumentBytes`. */
const TAKES_BYTES = /^(filter|key=value|path\[=filter\])$/i;
/** The command that passes the bytes of its arguments on to a program. */
const PASSES_ON = 'exec';

/** Has a program and its commands refuse values of options and arguments that are not UTF-8. */
export function refuseOtherEncodings(program: Command): void {
  checkValues(program, (name) => (TAKES_BYTES.test(name) ? undefined : refuseOtherEncoding));
  program.hook('preAction', (_, command) => {
    if (command.name() !== PASSES_ON) refuseInArguments(command);
  });
}

function refuseInArguments({ args, registeredArguments: all }: Command): void {
  args.forEach((text, index) => {
    const argument = all[Math.min(index, all.length - 1)];
    if (argument !== undefined && !TAKES_BYTES.test(argument.name())) refuseOtherEncoding(text);
  });
}

/** @throws UsageError if an argument of this process is not UTF-8 */
export function refuseOtherEncoding(text: string): void {
  const bytes = argumentBytes(text);
  if (bytes !== Buffer.from(text).toString('latin1'))
    throw new UsageError(
      `${quoted(bytes)}: it is not UTF-8, which only filters and events may be ` +
        '(use a name in UTF-8)',
    );
}
