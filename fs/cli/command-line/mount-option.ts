/**
 * The option `--mount`, which every command takes, and which may stand before the command too, as
 * in `eventfs --mount DIR status`.
 */
import type { Command } from 'commander';
import { UsageError } from '../../shared/errors.js';

/** The option of the program, and of commands that take the directory as an argument too. */
const FLAGS = '--mount <dir>';

/**
 * Adds the option to the program. A command that has the option itself gets the value, unless the
 * option stands behind the command too.
 */
export function mountBefore(program: Command): void {
  program
    .option(FLAGS, 'the directory that eventfs is mounted on, before any command')
    .hook('preAction', (_program, command) => {
      const { mount } = program.opts<{ mount?: string }>();
      if (mount !== undefined && command.getOptionValueSource('mount') !== 'cli')
        command.setOptionValueWithSource('mount', mount, 'cli');
    });
}

/** Adds the option to a command that takes the directory as an argument too. */
export function mountInstead(command: Command): Command {
  return command.option(FLAGS, 'the same as DIR');
}

/**
 * Returns the directory of a command that takes it as an argument or by `--mount`.
 *
 * @param directory the argument, or its default
 * @param command the command with its options parsed
 * @throws UsageError if both are given
 */
export function directoryOf(directory: string, command: Command): string {
  const { mount } = command.opts<{ mount?: string }>();
  if (mount === undefined) return directory;
  if (command.args.length > 0)
    throw new UsageError(
      `${directory}: --mount ${mount} names the directory too (give one of the two)`,
    );
  return mount;
}

/**
 * Returns the words from the command on, without the options of the program before it.
 *
 * @param words the words of the command line, without the program's name
 */
export function fromCommand(words: readonly string[]): readonly string[] {
  let at = 0;
  while (words[at] === '--mount' || words[at]?.startsWith('--mount=') === true)
    at += words[at] === '--mount' ? 2 : 1;
  return words.slice(at);
}
