/** The command line: one file a subcommand, loaded when it is asked for. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { StickyDirectory } from '../daemon.js';
import { DRIVER_NAMES } from '../drivers/driver.js';
import { Misuse, Refusal, isSystemError } from '../errno.js';
import { print } from './output.js';
import { waysInAndOut } from './ways-options.js';

/** DESIGN section 6. */
const ExitCode = { ok: 0, failed: 1, usage: 100, systemCall: 111 } as const;

const DEFAULT_DIRECTORY = '/dev/events';

function emptyProgram(): Command {
  return new Command('eventfs')
    .description('A filesystem in which a directory has the lifetime of a process, fed by kernel device events.')
    .version('0.1.0')
    .exitOverride()
    .configureOutput({
      writeOut: print,
      outputError: (text, write) => write(`eventfs: ${oneLine(text)} (try eventfs --help)\n`),
    });
}

export async function main(argv: readonly string[]): Promise<void> {
  const program = emptyProgram();

  waysInAndOut(program.command('mount'))
    .description('serve the tree in the foreground until SIGTERM or SIGINT, then unmount')
    .argument('[DIR]', 'where to mount', DEFAULT_DIRECTORY)
    .addOption(new Option('--driver <driver>', 'how it reaches the kernel').choices(DRIVER_NAMES).default(DRIVER_NAMES[0]))
    .option('--ready-fd <fd>', 'write a newline to this descriptor and close it once mounted', parseDescriptor)
    .option('--sticky <name[:mode]>', 'a directory that is there from the start and stays; may be repeated', collectSticky, [])
    .option('--busy-poll <us>', 'how many microseconds to look for the next request before sleeping; 0: not at all', parseMicroseconds, DEFAULT_BUSY_POLL_US)
    .option('--list-links', 'head and tail are listed too, as symlinks')
    .option('--config <file>', 'a TOML file with these options, bounds and quotas; /etc/eventfs.toml if it is there')
    .option('--hint', 'say what to try once mounted')
    .action(async (directory: string, _options: unknown, command: Command) => {
      await (await import('./mount.js')).mount(directory, command);
    });

  program
    .command('umount')
    .description('end the daemon that serves a directory and unmount it')
    .argument('[DIR]', 'where it is mounted', DEFAULT_DIRECTORY)
    .action(async (directory: string) => (await import('./umount.js')).umount(directory));

  program
    .command('watch')
    .description('print events as they come')
    .argument('[FILTER]', "which events, as in 'SUBSYSTEM==block, ACTION==add|remove'", '')
    .option('--json', 'one JSON object a line')
    .option('--properties', 'all properties of each event')
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (filter: string, options: { json?: boolean; properties?: boolean; mount: string }) => {
      await (await import('./watch.js')).watch(filter, options);
    });

  program
    .command('emit')
    .description('publish one event from arguments, standard input or the environment')
    .argument('[KEY=VALUE...]', 'its properties; ACTION and DEVPATH are required; - reads the event from standard input')
    .option('--environment', 'take the properties of the environment, as mdev, mdevd and udev RUN+= set them')
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (properties: string[], options: { environment?: boolean; mount: string }) => {
      await (await import('./emit.js')).emit(properties, options);
    });

  program
    .command('status')
    .description('who subscribes, how deep, how much was lost')
    .option('--json', 'as one JSON object')
    .option('--mount <dir>', 'where eventfs is mounted', DEFAULT_DIRECTORY)
    .action(async (options: { json?: boolean; mount: string }) => {
      await (await import('./status.js')).status(options);
    });

  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.exitCode = explain(error, argv[2] ?? '');
  }
}

/** `error: unknown command 'statu'\n(Did you mean status?)\n` without the line ends and the word that says nothing. */
function oneLine(text: string): string {
  return text.trim().replace(/^error: /, '').replaceAll('\n', ' ');
}

/** Says what went wrong in one line; gives the exit code. */
function explain(error: unknown, command: string): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  if (error instanceof Refusal) {
    console.error(`eventfs: ${command}: ${error.message}`);
    if (error instanceof Misuse) return ExitCode.usage;
    return error.failedCall ? ExitCode.systemCall : ExitCode.failed;
  }
  if (isSystemError(error)) {
    const path = 'path' in error ? `${String(error.path)}` : error.syscall;
    return explain(Refusal.from(error, path), command);
  }
  throw error;
}

/** Measured: docs/DECISIONS.md, "Looking again before sleeping". */
const DEFAULT_BUSY_POLL_US = 50;
const MOST_BUSY_POLL_US = 1000;

const DEFAULT_STICKY_MODE = 0o755;

function collectSticky(text: string, before: StickyDirectory[]): StickyDirectory[] {
  const found = /^([^/:]+)(?::([0-7]{1,4}))?$/.exec(text);
  if (found === null || found[1] === '.' || found[1] === '..') throw new InvalidArgumentError('It is NAME or NAME:MODE, as in global:1733.');
  return [...before, { name: found[1], mode: found[2] === undefined ? DEFAULT_STICKY_MODE : parseInt(found[2], 8) }];
}

function parseMicroseconds(text: string): number {
  const us = Number(text);
  if (!/^\d+$/.test(text) || us > MOST_BUSY_POLL_US) throw new InvalidArgumentError(`It is a whole number from 0 to ${MOST_BUSY_POLL_US}.`);
  return us;
}

function parseDescriptor(text: string): number {
  const fd = Number(text);
  if (!Number.isInteger(fd) || fd < 1) throw new InvalidArgumentError('It is a descriptor number, 1 or more.');
  return fd;
}
