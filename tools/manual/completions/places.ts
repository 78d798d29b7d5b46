/** Answers questions about the command line that the completions of all shells have. */
import type { CommandEntry, CommandLine, OptionEntry, Value } from '../command-line.js';

/** An option that takes a value, and the command that it belongs to: '' for the program itself. */
interface ValuedOption {
  readonly command: string;
  readonly option: OptionEntry;
  readonly value: Value;
}

/** A place for a positional argument of a command, from 1. A variadic argument is one place. */
interface Place {
  readonly command: string;
  readonly place: number;
  readonly value: Value;
}

/** Finds the options that take a value, of the program and of all commands. */
export function valuedOptions({ options, commands }: CommandLine): ValuedOption[] {
  return [{ name: '', options }, ...commands].flatMap(({ name, options }) =>
    options.flatMap((option) =>
      option.value === undefined ? [] : [{ command: name, option, value: option.value }],
    ),
  );
}

/** Finds the places of all positional arguments. */
export function places({ commands }: CommandLine): Place[] {
  return commands.flatMap((command) =>
    command.arguments.map(({ value }, index) => ({
      command: command.name,
      place: index + 1,
      value,
    })),
  );
}

/** Returns the place where another command begins, as in `exec -- COMMAND`, or undefined. */
export function placeOfCommand(command: CommandEntry): number | undefined {
  const index = command.arguments.findIndex(({ value }) => value.kind === 'command');
  return index < 0 ? undefined : index + 1;
}

/** Quotes a text for a POSIX shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
