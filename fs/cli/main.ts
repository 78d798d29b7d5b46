/** The command line: one file a subcommand, loaded when it is asked for. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { StickyDirectory } from '../daemon.js';
import type { MountOptions } from './mount.js';
import { ExitCode, explain } from './explain.js';
import { print } from './output.js';

const DEFAULT_DIRECTORY = '/dev/events';

export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('eventfs')
    .description('A filesystem in which a directory has the lifetime of a process, fed by kernel device events.')
    .version('0.1.0')
    .exitOverride()
    .configureOutput({
      writeOut: print,
      outputError: (text, write) => write(`eventfs: ${oneLine(text)} (try eventfs --help)\n`),
    });

  program
    .command('mount')
    .description('serve the tree in the foreground until SIGTERM or SIGINT, then unmount')
    .argument('[DIR]', 'where to mount', DEFAULT_DIRECTORY)
    .option('--source <source>', 'what feeds the tree: kernel or none', parseSource, 'kernel')
    .option('--ready-fd <fd>', 'write a newline to this descriptor and close it once mounted', parseDescriptor)
    .option('--sticky <name[:mode]>', 'a directory that is there from the start and stays; may be repeated', collectSticky, [])
    .option('--hint', 'say what to try once mounted')
    .action(async (directory: string, options: MountOptions) => {
      await (await import('./mount.js')).mount(directory, options);
    });

  program
    .command('umount')
    .description('end the daemon that serves a directory and unmount it')
    .argument('[DIR]', 'where it is mounted', DEFAULT_DIRECTORY)
    .action(async (directory: string) => {
      await (await import('./umount.js')).umount(directory);
    });

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
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    else process.exitCode = explain(error, argv[2] ?? '');
  }
}

/** `error: unknown command 'statu'\n(Did you mean status?)\n` without the line ends and the word that says nothing. */
function oneLine(text: string): string {
  return text.trim().replace(/^error: /, '').replaceAll('\n', ' ');
}

function parseSource(text: string): string {
  if (text !== 'kernel' && text !== 'none') throw new InvalidArgumentError('It is kernel or none.');
  return text;
}

const DEFAULT_STICKY_MODE = 0o755;

function collectSticky(text: string, before: StickyDirectory[]): StickyDirectory[] {
  const found = /^([^/:]+)(?::([0-7]{1,4}))?$/.exec(text);
  if (found === null || found[1] === '.' || found[1] === '..') throw new InvalidArgumentError('It is NAME or NAME:MODE, as in global:1733.');
  return [...before, { name: found[1], mode: found[2] === undefined ? DEFAULT_STICKY_MODE : parseInt(found[2], 8) }];
}

function parseDescriptor(text: string): number {
  const fd = Number(text);
  if (!Number.isInteger(fd) || fd < 1) throw new InvalidArgumentError('It is a descriptor number, 1 or more.');
  return fd;
}
