/**
 * The command line: declares all subcommands. The code of each is a file of its own, loaded when
 * the command runs.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { ColdplugOptions } from './commands/coldplug.js';
import type { DoctorOptions } from './commands/doctor.js';
import type { ExecOptions } from './commands/exec.js';
import type { RunOptions } from './commands/run/run.js';
import type { WaitOptions } from './commands/wait.js';
import type { WatchOptions } from './commands/watch.js';
import { addCompare } from './commands/compare.js';
import { ExitCode, explain } from './terminal/explain.js';
import { mountOptions } from './commands/mount/mount-options.js';
import type { SeqNum } from '../uevent/text.js';
import { print } from './terminal/output.js';
import { DEFAULT_DIRECTORY } from './defaults.js';

function emptyProgram(): Command {
  return new Command('eventfs')
    .enablePositionalOptions() // options after `exec COMMAND` belong to that command
    .description(
      'A filesystem in which a directory has the lifetime of a process, fed by kernel device events.',
    )
    .version(version())
    .addHelpText(
      'after',
      '\nmount(8) and /etc/fstab call it as: eventfs SOURCE DIR [-f] [-o OPTIONS]',
    )
    .exitOverride()
    .configureOutput({
      writeOut: print,
      outputError: (text, write) => write(`eventfs: ${oneLine(text)} (try eventfs --help)\n`),
    });
}

/**
 * Runs one command line. Prints failures and sets the process's exit code.
 *
 * @param argv as process.argv: node, the program, its arguments
 */
export async function main(argv: readonly string[]): Promise<void> {
  const program = emptyProgram();

  mountOptions(program.command('mount'))
    .description('serve the tree in the foreground until SIGTERM or SIGINT, then unmount')
    .argument('[DIR]', 'where to mount', DEFAULT_DIRECTORY)
    .action(async (directory: string, _options: unknown, command: Command) => {
      await (await import('./commands/mount/mount.js')).mount(directory, command);
    });

  program
    .command('umount')
    .description('end the daemon that serves a directory and unmount it')
    .argument('[DIR]', 'where it is mounted', DEFAULT_DIRECTORY)
    .action(async (directory: string) => (await import('./commands/umount.js')).umount(directory));

  addReading(program);
  addWorking(program);
  addTending(program);
  addCompare(program);
  for (const command of program.commands) {
    const example = EXAMPLES[command.name()];
    if (example !== undefined)
      command.addHelpText(
        'after',
        `\nExample:\n${example.map((line) => `  ${line}\n`).join('')}`.trimEnd(),
      );
  }

  try {
    if (!(await mountedByHelper(program, argv))) await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError)
      process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    else
      process.exitCode = explain(
        error,
        program.commands.some((command) => command.name() === argv[2]) ? argv[2] : 'mount',
      );
  }
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

const MOUNT_HELPER = 'mount.fuse';

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

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  mount: ['eventfs mount --sticky global:1733 /dev/events'],
  umount: ['eventfs umount /dev/events'],
  watch: ["eventfs watch 'SUBSYSTEM==block, ACTION==add|remove' --properties"],
  emit: ['eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine'],
  status: ['eventfs status --json | jq .subscribers'],
  exec: ["eventfs exec --filter SUBSYSTEM==usb -- sh -c 'ls $EVENTS_DIR'"],
  run: ["eventfs run 'SUBSYSTEM==block, ACTION==add' --timeout 30 -- ./on-disk.sh"],
  wait: ["eventfs wait 'DEVNAME==sd?1' --existing --timeout 10 && mount /mnt/stick"],
  settle: ['eventfs coldplug && eventfs settle --timeout 30'],
  coldplug: ['eventfs coldplug SUBSYSTEM==net'],
  doctor: ['eventfs doctor --mount /dev/events'],
};

/** Adds the commands that show or publish events. */
function addReading(program: Command): void {
  program
    .command('watch')
    .description('print events as they come')
    .argument('[FILTER]', "which events, as in 'SUBSYSTEM==block, ACTION==add|remove'", '')
    .option(
      '--json',
      'one JSON object a line: action, devpath, properties; more: earlier values of a repeated key; bytes that are not UTF-8 as numbers',
    )
    .option('--properties', 'all properties of each event')
    .option('--since <seqnum>', 'first the kept events after this one', parseSeqnum)
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (filter: string, options: WatchOptions) => {
      await (await import('./commands/watch.js')).watch(filter, options);
    });

  program
    .command('emit')
    .description(
      'publish one event from arguments or the environment, or events from standard input',
    )
    .argument(
      '[KEY=VALUE...]',
      'its properties; ACTION and DEVPATH are required; - reads events from standard input, an empty line between them',
    )
    .option(
      '--environment',
      'take the properties of the environment, as mdev, mdevd and udev RUN+= set them',
    )
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (properties: string[], options: { environment?: boolean; mount: string }) => {
      await (await import('./commands/emit.js')).emit(properties, options);
    });

  program
    .command('status')
    .description('who subscribes, how deep, how much was lost')
    .option('--json', 'as one JSON object')
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (options: { json?: boolean; mount: string }) => {
      await (await import('./commands/status.js')).status(options);
    });
}

/** Adds the commands that run or wait for events. */
function addWorking(program: Command): void {
  program
    .command('exec')
    .description('run a command with a process directory of its own, in $EVENTS_DIR')
    .usage('[options] -- COMMAND [ARGUMENT...]')
    .argument('<COMMAND...>', 'it replaces this process, so there is nothing to clean up after it')
    .option('--filter <filter>', 'which events the directory takes', '')
    .option('--since <seqnum>', 'begin with the kept events after this one', parseSeqnum)
    .option('--label <label>', 'call the directory <pid>.<label>')
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .passThroughOptions()
    .action(async (command: string[], options: ExecOptions) => {
      await (await import('./commands/exec.js')).exec(command, options);
    });

  program
    .command('run')
    .description(
      "run a command for each event: a device's properties in its environment, the event on standard input",
    )
    .usage('[options] FILTER -- COMMAND [ARGUMENT...]')
    .argument('<FILTER>', "which events, as in 'SUBSYSTEM==block'; '' is all")
    .argument('<COMMAND...>', 'what to run; no shell is involved')
    .option(
      '--jobs <n>',
      'how many at a time, never two for one DEVPATH, or for a device and its parent or child',
      parseCount,
      1,
    )
    .option(
      '--timeout <s>',
      'end it, and all of its process group, after so many seconds',
      parseSeconds,
    )
    .option('--since <seqnum>', 'begin with the kept events after this one', parseSeqnum)
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (filter: string, command: string[], options: RunOptions) => {
      await (await import('./commands/run/run.js')).run(filter, command, options);
    });

  program
    .command('wait')
    .description('wait for an event and print it; exit code 1 when the time is up')
    .argument('[FILTER]', "which event, as in 'SUBSYSTEM==block, DEVNAME==sd?1'", '')
    .option('--timeout <s>', 'how many seconds at most', parseSeconds)
    .option('--existing', 'a device that is there already will do')
    .option('--since <seqnum>', 'begin with the kept events after this one', parseSeqnum)
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (filter: string, options: WaitOptions) => {
      await (await import('./commands/wait.js')).wait(filter, options);
    });
}

/** Adds the commands that maintain a mount or a machine. */
function addTending(program: Command): void {
  program
    .command('settle')
    .description('wait until no queue holds an event older than this call')
    .option(
      '--timeout <s>',
      'how many seconds at most; then name the processes that lag',
      parseSeconds,
    )
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (options: { timeout?: number; mount: string }) => {
      await (await import('./commands/settle.js')).settle(options);
    });

  program
    .command('coldplug')
    .description('have the kernel say add again for every device')
    .argument('[FILTER]', "which devices, as in 'SUBSYSTEM==block'", '')
    .option('--action <action>', 'what it is to say', parseAction, 'add')
    .option('--subsystems', 'for buses and drivers too, before the devices')
    .option(
      '--synth-uuid <uuid>',
      'the events have it in SYNTH_UUID, to tell this replay from others',
      parseUuid,
    )
    .option(
      '--synth-arg <key=value>',
      'and this in SYNTH_ARG_<key>; may be repeated',
      collectSynthArg,
      [],
    )
    .option('--dry-run', 'only print which devices')
    .action(async (filter: string, options: ColdplugOptions) => {
      (await import('./commands/coldplug.js')).coldplug(filter, options);
    });

  program
    .command('doctor')
    .description('what is wrong with this machine or mount, and how to mend it')
    .option('--json', 'as one JSON array')
    .option('--config <file>', 'the configuration to look at', '/etc/eventfs.toml')
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (options: DoctorOptions) => {
      const mount = program.commands.find((command) => command.name() === 'mount')!;
      mount.setOptionValue('config', options.config);
      const readConfiguration = async (): Promise<unknown> =>
        new (await import('./commands/mount/configuration.js')).Configuration(mount);
      await (await import('./commands/doctor.js')).doctor(options, readConfiguration);
    });
}

/** Returns the version in package.json. This file is compiled to dist/fs/cli/. */
function version(): string {
  const { version } = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return version;
}

/**
 * Joins the lines of a message of commander's and drops the prefix `error: `, as in `error: unknown
 * command 'statu'\n(Did you mean status?)\n`.
 */
function oneLine(text: string): string {
  return text
    .trim()
    .replace(/^error: /, '')
    .replaceAll('\n', ' ');
}

function parseSeqnum(text: string): SeqNum {
  if (!/^\d{1,15}$/.test(text))
    throw new InvalidArgumentError('It is a SEQNUM, as in /sys/kernel/uevent_seqnum.');
  return Number(text) as SeqNum;
}

/** A bound below the longest time of a timer, 2^31 ms. */
const MOST_SECONDS = 2_000_000;

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text) || seconds > MOST_SECONDS)
    throw new InvalidArgumentError(`It is a number of seconds, at most ${MOST_SECONDS}.`);
  return seconds;
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new InvalidArgumentError('It is a number from 1 to 99999.');
  return Number(text);
}

/** The actions that the kernel accepts: lib/kobject_uevent.c. */
const ACTIONS = ['add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind'];

function parseAction(text: string): string {
  if (!ACTIONS.includes(text))
    throw new InvalidArgumentError(`It is one of ${ACTIONS.join(', ')}.`);
  return text;
}

function parseUuid(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new InvalidArgumentError('It is a UUID, as uuidgen prints one.');
  return text;
}

function collectSynthArg(text: string, before: string[]): string[] {
  if (!/^[0-9A-Za-z]+=[0-9A-Za-z]+$/.test(text))
    throw new InvalidArgumentError('It is KEY=VALUE, of letters and digits.');
  return [...before, text];
}
