/** The completion for fish. */
import type { CommandEntry, CommandLine, OptionEntry, Value } from '../command-line.js';
import { placeOfCommand, places, valuedOptions } from './places.js';

/** Makes the script that fish loads. */
export function fishCompletion(line: CommandLine): string {
  const { name, options, commands } = line;
  const lines = [
    ...options.map((option) => optionLine(name, `__${name}_in ""`, option)),
    ...commands.map(
      (command) =>
        `complete -c ${name} -n '__${name}_at "" 1' -a ${command.name} -d ${quote(command.text)}`,
    ),
    ...commands.flatMap((command) => commandLines(line, command)),
  ];
  return `# Completion of ${name} for fish. Made by \`make completions\`: edits are lost.

${parser(line)}
${conditions(name)}
complete -c ${name} -f
${lines.join('\n')}
`;
}

/** Returns the shell function that reads the words before the cursor. */
function parser(line: CommandLine): string {
  const valued = valuedOptions(line)
    .filter(({ value }) => value.isRequired)
    .flatMap(({ command, option }) => option.names.map((word) => quote(`${command} ${word}`)));
  const starts = line.commands.flatMap((command) => {
    const place = placeOfCommand(command);
    return place === undefined ? [] : [quote(`${command.name} ${place}`)];
  });
  return `# Reads the words before the cursor. Prints the command, the place of the next positional argument
# from 1, and the words from another command's name on, as in \`exec -- COMMAND\`.
function __${line.name}_parse
    set -l command ''
    set -l place 1
    set -l ended no
    set -l awaits no
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        set -l word $words[1]
        if test $awaits = yes
            set awaits no
        else if test $ended = no -a "$word" = --
            set ended yes
        else if test $ended = no && string match -qr -- '^-.' $word
            contains -- "$command $word" \\
                ${valued.join(' \\\n                ')}
            and set awaits yes
        else if test -z "$command"
            set command $word
        else if contains -- "$command $place" ${starts.join(' ')}
            break
        else
            set place (math $place + 1)
        end
        set -e words[1]
    end
    printf '%s\\n' "$command" $place $words
end
`;
}

/** Returns the conditions of the lines for options and arguments. */
function conditions(name: string): string {
  return `# Whether the words before the cursor are of a command: '' before there is one.
function __${name}_in
    set -l parsed (__${name}_parse)
    test "$parsed[1]" = "$argv[1]" -a (count $parsed) -eq 2
end

# Whether the next positional argument is that one of the command.
function __${name}_at
    set -l parsed (__${name}_parse)
    test "$parsed[1]" = "$argv[1]" -a "$parsed[2]" = "$argv[2]"
end

# Completes another command's words.
function __${name}_other
    set -l words (string escape -- (__${name}_parse)[3..]) (commandline -ct)
    complete "--do-complete=$words"
end
`;
}

function commandLines(line: CommandLine, command: CommandEntry): string[] {
  const { name } = line;
  const inCommand = `__${name}_in ${command.name}`;
  const own = command.options.map((option) => optionLine(name, inCommand, option));
  const positional = places(line)
    .filter((place) => place.command === command.name)
    .flatMap(({ place, value }) => {
      const offered = offers(value, line);
      return offered === ''
        ? []
        : [`complete -c ${name} -n '__${name}_at ${command.name} ${place}' ${offered}`];
    });
  return [...own, ...positional];
}

function optionLine(program: string, condition: string, option: OptionEntry): string {
  const { names, text, value } = option;
  const flags = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const valueFlags = value?.isRequired === true ? ` ${offersOfOption(value)}` : '';
  return `complete -c ${program} -n ${quote(condition)} ${flags.join(' ')}${valueFlags} -d ${quote(text)}`;
}

function offersOfOption(value: Value): string {
  if (value.choices.length > 0) return `-x -a ${quote(value.choices.join(' '))}`;
  if (value.kind === 'directory') return `-x -a ${DIRECTORIES}`;
  return value.kind === 'file' ? '-r -F' : '-x';
}

const DIRECTORIES = "'(__fish_complete_directories (commandline -ct))'";

function offers(value: Value, { name, commands }: CommandLine): string {
  if (value.choices.length > 0) return `-a ${quote(value.choices.join(' '))}`;
  switch (value.kind) {
    case 'directory':
      return `-a ${DIRECTORIES}`;
    case 'file':
      return '-F';
    case 'command':
      return `-a '(__${name}_other)'`;
    case 'subcommand':
      return `-a ${quote(commands.map((command) => command.name).join(' '))}`;
    case 'other':
      return '';
  }
}

/** Quotes a text for fish. */
function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}
