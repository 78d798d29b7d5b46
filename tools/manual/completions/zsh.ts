/** The completion for zsh: a file of its fpath. */
import type {
  ArgumentEntry,
  CommandEntry,
  CommandLine,
  OptionEntry,
  Value,
} from '../command-line.js';
import { placeOfCommand, quote } from './places.js';

/** Makes the function that zsh loads. */
export function zshCompletion({ name, options, commands }: CommandLine): string {
  const described = commands.map((command) =>
    quote(`${command.name.replaceAll(':', '\\:')}:${command.text}`),
  );
  return `#compdef ${name}
# Completion of ${name} for zsh. Made by \`make completions\`: edits are lost.

_${name}_commands() {
  local -a commands=(
    ${described.join('\n    ')}
  )
  _describe -t commands 'command' commands
}

_${name}() {
  local curcontext="$curcontext" state line ret=1
  typeset -A opt_args
  _arguments -S -C \\
    ${[...options.map(optionSpec), `'1: :_${name}_commands'`, "'*:: :->rest'"].join(' \\\n    ')} && ret=0
  [[ $state == rest ]] || return ret
  curcontext="\${curcontext%:*:*}:${name}-$line[1]:"
  case $line[1] in
${commands.map((command) => branch(command, name)).join('')}  esac
  return ret
}

_${name} "$@"
`;
}

/** _arguments would count a `--` behind a positional argument as another one. */
const DROP_SEPARATOR = `      integer separator=\${words[(i)--]}
      if (( separator < CURRENT )); then
        words[separator]=()
        (( CURRENT-- ))
      fi
`;

function branch(command: CommandEntry, program: string): string {
  const start = placeOfCommand(command);
  const specs = [
    ...command.options.map(optionSpec),
    ...command.arguments.map((argument, index) => argumentSpec(argument, index + 1, program)),
    ...(start === undefined ? [] : [wordsOfCommand(start)]),
  ];
  return `    ${command.name})
${(start ?? 1) > 1 ? DROP_SEPARATOR : ''}      _arguments -S \\
        ${specs.join(' \\\n        ')} && ret=0
      ;;
`;
}

/** The words after the name of another command are completed as that command's. */
function wordsOfCommand(start: number): string {
  const before = start - 1;
  return quote(
    before === 0
      ? '*::ARGUMENT:_normal'
      : `*::ARGUMENT:{ shift ${before} words; (( CURRENT -= ${before} )); _normal }`,
  );
}

function optionSpec({ names, text, value, mayRepeat }: OptionEntry): string {
  const exclusive = mayRepeat ? '*' : `(${names.join(' ')})`;
  const end =
    value === undefined
      ? ''
      : `${value.isRequired ? ':' : '::'}${value.name.replaceAll(':', '\\:')}:${action(value)}`;
  const assigned = value === undefined ? '' : value.isRequired ? '=' : '=-';
  return names
    .map((name) =>
      quote(
        `${exclusive}${name}${name.startsWith('--') ? assigned : ''}[${escapeText(text)}]${end}`,
      ),
    )
    .join(' ');
}

function argumentSpec(
  { value, isVariadic }: ArgumentEntry,
  place: number,
  program: string,
): string {
  const colons = value.isRequired ? ':' : '::';
  if (value.kind === 'command') return quote(`(-)${place}${colons}${value.name}:_command_names -e`);
  if (value.kind === 'subcommand')
    return quote(`${place}${colons}${value.name}:_${program}_commands`);
  const at = isVariadic ? '*' : place;
  return quote(
    `${at}${isVariadic ? ':' : colons}${value.name.replaceAll(':', '\\:')}:${action(value)}`,
  );
}

function action(value: Value): string {
  if (value.choices.length > 0) return `(${value.choices.join(' ')})`;
  if (value.kind === 'directory') return '_files -/';
  return value.kind === 'file' ? '_files' : ' ';
}

/** Escapes a text for the brackets of _arguments. */
function escapeText(text: string): string {
  return text.replaceAll(/[\\[\]]/g, '\\$&');
}
