/**
 * Asks real shells what they offer at TAB. Each function starts one process of its shell, for all
 * lines: starting zsh and its completion system takes a third of a second.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** The words of a command line; the cursor is at the end of the last one. */
export type Line = readonly string[];

/** Where the shell runs, and what it finds there. */
interface Place {
  readonly directory: string;
  /** A directory before all others of PATH. */
  readonly programs: string;
}

/** Returns the words that the shell offers for each line, in any order. */
export type Ask = (completion: string, lines: readonly Line[], place: Place) => string[][];

/** Prints the offers of each line, one a line of output, and a separator after each. */
const END = 'end-of-offers';

/** bash without bash-completion: the function is called as bash calls it. */
export const askBash: Ask = (completion, lines, place) => {
  const probes = lines.map(
    (line) => `ask ${['eventfs', ...line].flatMap(splitLikeBash).map(quote).join(' ')}`,
  );
  const script = `${completion}
ask() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _eventfs eventfs "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
    ((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"
    echo ${END}
}
${probes.join('\n')}
`;
  return offers(run('bash', ['--norc', '--noprofile', '-c', script], place));
};

/** bash splits words at = and : (COMP_WORDBREAKS). */
function splitLikeBash(word: string): string[] {
  const parts = word.split(/([=:]+)/);
  return parts.length > 1 && parts.at(-1) === '' ? parts.slice(0, -1) : parts;
}

/** fish tells by itself what it would offer. */
export const askFish: Ask = (completion, lines, place) => {
  const probes = lines.map(
    (line) => `complete -C ${quote(['eventfs', ...line].join(' '))}; echo ${END}`,
  );
  const script = `${completion}\n${probes.join('\n')}\n`;
  const found = offers(run('fish', ['--no-config', '-c', script], place));
  // A description stands behind a tab; the value of --option=value has the option before it.
  return found.map((words) => words.map((word) => word.replace(/\t.*/, '').replace(/^--.*=/, '')));
};

/**
 * zsh completes only in its line editor: an inner zsh on a pseudo-terminal gets the lines as a user
 * types them. Its compadd writes every match into a file.
 */
export const askZsh: Ask = (completion, lines, place) => {
  const scratch = mkdtempSync(join(tmpdir(), 'eventfs-zsh-'));
  try {
    const out = join(scratch, 'offers');
    writeFileSync(out, '');
    writeFileSync(join(scratch, '_eventfs'), completion);
    writeFileSync(join(scratch, 'inner'), innerZsh(scratch, out));
    const probes = lines.map((line) => `ask ${quote(['eventfs', ...line].join(' '))}`);
    const script = `zmodload zsh/zpty zsh/zselect
zpty inner zsh -f -i
zpty -w inner ${quote(`source ${join(scratch, 'inner')}`)}
# Waits until the inner zsh has written so many ends of lists.
wait_for() {
  local -a ends
  repeat 1500; do
    ends=(\${(M)\${(f)"$(<${out})"}:#${END}})
    (( $#ends >= $1 )) && return
    zpty -r -t inner >/dev/null
    zselect -t 1
  done
  print -u2 "zsh did not answer: $asked"
  exit 1
}
integer count=1
wait_for 1
ask() {
  asked=$1
  zpty -w -n inner $'\\C-u'$1$'\\t'
  wait_for $(( ++count ))
}
${probes.join('\n')}
zpty -d inner
`;
    run('zsh', ['-f', '-c', script], place);
    return offers(readFileSync(out, 'utf8')).slice(1);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

function innerZsh(functions: string, out: string): string {
  return `PROMPT=
unsetopt beep
fpath=(${functions} $fpath)
autoload -Uz compinit && compinit -D -u
bindkey -e
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a hits
  builtin compadd -A hits "$@"
  (( $#hits == 0 )) || print -rl -- $hits >>${out}
  builtin compadd "$@"
}
end_of_list() { print ${END} >>${out}; comppostfuncs=(end_of_list) }
comppostfuncs=(end_of_list)
print ${END} >>${out}
`;
}

function run(shell: string, args: readonly string[], { directory, programs }: Place): string {
  return execFileSync(shell, args, {
    cwd: directory,
    encoding: 'utf8',
    env: { ...process.env, HOME: directory, PATH: `${programs}${delimiter}${process.env.PATH}` },
    timeout: 20_000,
  });
}

function offers(output: string): string[][] {
  const lists = output.split(`${END}\n`).slice(0, -1);
  return lists.map((list) => list.split('\n').filter((word) => word !== ''));
}

/** Quotes a text for bash, zsh, and fish where it has no backslash. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
