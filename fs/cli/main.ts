/** Runs one command line. */
import { type Command, CommanderError } from 'commander';
import { fromCommand } from './command-line/mount-option.js';
import { ExitCode, explain } from './terminal/explain.js';

/** The first argument of a call by mount(8), if bin/eventfs runs under the name mount.TYPE. */
const MOUNT_HELPER = 'mount.fuse';

/**
 * Runs one command line. Prints failures and sets the process's exit code.
 *
 * @param argv as process.argv: node, the program, its arguments
 */
export async function main(argv: readonly string[]): Promise<void> {
  const program = await programFor(fromCommand(argv.slice(2))[0]);
  const words = argv[2] === 'help' ? wordsOfHelp(program, argv) : argv;
  try {
    if (!(await mountedByHelper(program, words))) await program.parseAsync(words);
  } catch (error) {
    if (error instanceof CommanderError)
      process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    else process.exitCode = explain(error, nameOf(program, words));
  }
}

/**
 * Returns the words in place of `help COMMAND`. compare has a parser of its own. For a command that
 * does not exist, commander prints the whole help as an error; the name alone is a usage error.
 */
function wordsOfHelp(program: Command, argv: readonly string[]): readonly string[] {
  const [, , , name] = argv;
  const own = argv.slice(0, 2);
  if (name === 'compare') return [...own, 'compare', '--help'];
  if (name === 'help') return [...own, '--help'];
  const isKnown = program.commands.some((command) => command.name() === name);
  return name === undefined || name.startsWith('-') || isKnown ? argv : [...own, name];
}

/** The commands that a script starts often: they start without the declarations of the others. */
const EVENT_COMMANDS = new Set(['watch', 'emit', 'exec', 'run', 'wait']);
/** The same for a guardian: clients wait while it starts a daemon. */
const MOUNT_COMMANDS = new Set(['mount', 'reload', 'umount']);

/** Loads the parser for a command. */
async function programFor(command: string | undefined): Promise<Command> {
  if (command !== undefined && EVENT_COMMANDS.has(command))
    return (await import('./command-line/event-program.js')).createEventProgram();
  if (command !== undefined && MOUNT_COMMANDS.has(command))
    return (await import('./command-line/mount-program.js')).createMountProgram();
  return (await import('./command-line/program.js')).createProgram();
}

/**
 * Returns the name of the command that the arguments call: `help` for options of the program, and
 * `mount` for a call by mount(8).
 */
function nameOf(program: Command, argv: readonly string[]): string {
  const [name] = fromCommand(argv.slice(2));
  if (name === undefined || name === 'help' || name.startsWith('-')) return 'help';
  return program.commands.some((command) => command.name() === name) ? name : 'mount';
}

/**
 * Handles a call by mount(8): SOURCE DIR -o OPTIONS. bin/eventfs puts MOUNT_HELPER before the
 * arguments if its own name is mount.TYPE.
 *
 * @returns false if it is no such call
 */
async function mountedByHelper(program: Command, argv: readonly string[]): Promise<boolean> {
  const args = argv.slice(2);
  const isMount8 = args[0] === MOUNT_HELPER;
  if (
    !isMount8 &&
    !isHelperCall(
      args,
      program.commands.map((command) => command.name()),
    )
  )
    return false;
  const { refuseOtherEncoding } = await import('./command-line/encoding.js');
  args.forEach(refuseOtherEncoding);
  const { mountHelper, parseHelperCall } = await import('./commands/mount/mount-helper.js');
  const call = parseHelperCall(isMount8 ? args.slice(1) : args);
  if (isMount8 && call.isForeground) return true; // mount -f: do everything but the system call
  process.exitCode = await mountHelper(
    call,
    argv[1],
    async (own) => void (await program.parseAsync(['mount', ...own], { from: 'user' })),
  );
  return true;
}

/**
 * Tells whether the arguments are SOURCE DIR and options of mount(8).
 *
 * @param commands the names of all subcommands
 */
function isHelperCall(args: readonly string[], commands: readonly string[]): boolean {
  return (
    args.length >= 3 &&
    !args[0].startsWith('-') &&
    !args[1].startsWith('-') &&
    !commands.includes(args[0]) &&
    /^-(o.*|t.*|[fnsv]+)$/.test(args[2])
  );
}
