/** The completion for bash, which needs no other package. */
import type { CommandLine, Value } from '../command-line.js';
import { placeOfCommand, places, quote, valuedOptions } from './places.js';

/** A pattern of `case`, and the command that offers words. */
type Branch = readonly [string, string];

/** Makes the script that bash sources. */
export function bashCompletion(line: CommandLine): string {
  const { name } = line;
  return `# Completion of ${name} for bash. Made by \`make completions\`: edits are lost.

${helpers(name)}
_${name}() {
    local current=\${COMP_WORDS[COMP_CWORD]} command='' option='' last='' ended='' place=0 index word
    COMPREPLY=()
${walk(line)}
${offers(line)}
}

complete -F _${name} ${name}
`;
}

function helpers(name: string): string {
  return `# Offers those of the words that begin with the current word.
_${name}_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }

# Offers names: of files (-f), directories (-d) or commands (-c).
_${name}_names() {
    mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
    [[ $1 == -c ]] || compopt -o filenames 2>/dev/null
}

# Completes another command, which begins at that word.
_${name}_other() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    else
        _${name}_names -f
    fi
}
`;
}

/** Reads the words before the current one. */
function walk(line: CommandLine): string {
  const required = valuedOptions(line)
    .filter(({ value }) => value.isRequired)
    .flatMap(({ command, option }) => option.names.map((word) => `'${command} ${word}'`));
  const starts = line.commands.flatMap((command) => {
    const place = placeOfCommand(command);
    return place === undefined ? [] : [`'${command.name} ${place}'`];
  });
  return `    for ((index = 1; index < COMP_CWORD; index++)); do
        word=\${COMP_WORDS[index]}
        # bash splits words at = and :, as in --option=value and KEY=VALUE.
        if [[ -n $word && -z \${word//[=:]/} ]]; then
            if [[ $word == = && -n $last ]]; then
                option=$last last=''
                continue
            fi
            ((++index < COMP_CWORD)) || return 0
            continue
        fi
        last=''
        if [[ -n $option ]]; then
            option=''
        elif [[ -z $ended && $word == -- ]]; then
            ended=1
        elif [[ -z $ended && $word == -?* ]]; then
            last=$word
            case "$command $word" in
            ${required.join(' | \\\n                ')}) option=$word ;;
            esac
        elif [[ -z $command ]]; then
            command=$word
        else
            case "$command $((++place))" in
            ${starts.join(' | ')})
                _${line.name}_other "$index"
                return 0
                ;;
            esac
        fi
    done
    if [[ -n $current && -z \${current//[=:]/} ]]; then
        [[ $current == = && -n $last ]] || return 0
        option=$last current=''
    fi`;
}

/** Offers words for the place of the current one. */
function offers(line: CommandLine): string {
  const { name, options, commands } = line;
  const values = valuedOptions(line).flatMap(({ command, option, value }) =>
    option.names.map((word): Branch => [`${command} ${word}`, action(value, line)]),
  );
  const ofCommands = [{ name: '', options }, ...commands].map(
    ({ name: command, options }): Branch => {
      const names = options.flatMap(({ names }) => names);
      return [command, names.length === 0 ? '' : `_${name}_words ${quote(names.join(' '))}`];
    },
  );
  const positional = places(line).map(({ command, place, value }): Branch => [
    `${command} ${place}`,
    action(value, line),
  ]);
  return `    if [[ -n $option ]]; then
        case "$command $option" in
${branches(values)}
        esac
    elif [[ -z $ended && $current == -* ]]; then
        case $command in
${branches(ofCommands)}
        esac
    elif [[ -z $command ]]; then
        _${name}_words ${quote(commandNames(line))}
    else
        case "$command $((place + 1))" in
${branches(positional)}
        esac
    fi`;
}

function branches(found: readonly Branch[]): string {
  return found
    .filter(([, command]) => command !== '')
    .map(([pattern, command]) => `        '${pattern}') ${command} ;;`)
    .join('\n');
}

function action(value: Value, line: CommandLine): string {
  const { name } = line;
  if (value.choices.length > 0) return `_${name}_words ${quote(value.choices.join(' '))}`;
  switch (value.kind) {
    case 'directory':
      return `_${name}_names -d`;
    case 'file':
      return `_${name}_names -f`;
    case 'command':
      return `_${name}_names -c`;
    case 'subcommand':
      return `_${name}_words ${quote(commandNames(line))}`;
    case 'other':
      return '';
  }
}

function commandNames({ commands }: CommandLine): string {
  return commands.map(({ name }) => name).join(' ');
}
