/**
 * Describes the command line as plain data, read from commander's tree. The manual page and the
 * completions are made from it, so that they name the commands that the parser knows.
 */
import type { Argument, Command, Help, Option } from 'commander';

/** The kind of a value, which decides what a shell offers: `<file>` in the help is a file. */
type ValueKind = 'directory' | 'file' | 'command' | 'subcommand' | 'other';

/** The value of an option, or a positional argument. */
export interface Value {
  readonly name: string;
  readonly kind: ValueKind;
  readonly choices: readonly string[];
  readonly isRequired: boolean;
}

export interface OptionEntry {
  /** `-h` and `--help`, or only one of the two. */
  readonly names: readonly string[];
  /** The names and the value as the help shows them: `--config <file>`. */
  readonly term: string;
  readonly text: string;
  /** The choices, the default and the environment variable in words, or ''. */
  readonly note: string;
  readonly value: Value | undefined;
  readonly mayRepeat: boolean;
  readonly environment: string | undefined;
}

export interface ArgumentEntry {
  readonly value: Value;
  readonly isVariadic: boolean;
  readonly text: string;
  readonly note: string;
}

export interface CommandEntry {
  readonly name: string;
  readonly text: string;
  /** The usage line: `eventfs mount [options] [DIR]`. */
  readonly usage: string;
  readonly options: readonly OptionEntry[];
  readonly arguments: readonly ArgumentEntry[];
}

export interface CommandLine {
  readonly name: string;
  readonly version: string;
  readonly text: string;
  readonly options: readonly OptionEntry[];
  readonly commands: readonly CommandEntry[];
}

/** Reads commander's tree. */
export function describe(program: Command): CommandLine {
  const help = program.createHelp();
  return {
    name: program.name(),
    version: program.version() ?? '',
    text: program.description(),
    options: help.visibleOptions(program).map((option) => optionEntry(option, help)),
    commands: help.visibleCommands(program).map((command) => ({
      name: command.name(),
      text: command.description(),
      // The help command of commander's own has no parent.
      usage: `${program.name()} ${help.commandUsage(command)}`.replace(/^(\S+) \1 /, '$1 '),
      options: help.visibleOptions(command).map((option) => optionEntry(option, help)),
      arguments: command.registeredArguments.map((argument) => argumentEntry(argument)),
    })),
  };
}

function optionEntry(option: Option, help: Help): OptionEntry {
  const value = /[<[]([^>\]]+(?:\[[^\]]*\][^>\]]*)?)[>\]]$/.exec(option.flags)?.[1];
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    term: help.optionTerm(option),
    text: option.description,
    note: noteOf(option),
    value:
      value === undefined
        ? undefined
        : {
            name: value,
            kind: kindOf(value),
            choices: option.argChoices ?? [],
            isRequired: option.required,
          },
    mayRepeat: option.variadic || Array.isArray(option.defaultValue),
    environment: option.envVar,
  };
}

function argumentEntry(argument: Argument): ArgumentEntry {
  const name = argument.name();
  return {
    value: {
      name,
      kind: kindOf(name),
      choices: argument.argChoices ?? [],
      isRequired: argument.required,
    },
    isVariadic: argument.variadic,
    text: argument.description,
    note: noteOf(argument),
  };
}

function noteOf({ argChoices = [], defaultValue, ...rest }: Option | Argument): string {
  const byDefault: unknown = Array.isArray(defaultValue) ? defaultValue.join(', ') : defaultValue;
  return [
    argChoices.length > 0 ? `one of ${argChoices.join(', ')}` : '',
    typeof byDefault === 'number' || (typeof byDefault === 'string' && byDefault !== '')
      ? `default: ${byDefault}`
      : '',
    'envVar' in rest && rest.envVar !== undefined ? `also ${rest.envVar}` : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
}

/** A value's name says what it is: `<dir>`, `<file>`, `<path[:mode]>`, COMMAND. */
function kindOf(name: string): ValueKind {
  if (name === 'command') return 'subcommand'; // of commander's own `help [command]`
  if (name === 'COMMAND') return 'command';
  if (/^dir$/i.test(name)) return 'directory';
  return /^(file|path)\b/i.test(name) ? 'file' : 'other';
}
