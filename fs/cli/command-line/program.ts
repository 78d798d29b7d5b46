/**
 * Declares the command line: all subcommands with their options and help texts. The code of each
 * subcommand is a file of its own, loaded when the command runs.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCompare } from '../commands/compare.js';
import { print } from '../terminal/output.js';
import { addEventCommands } from './event-commands.js';
import { HELP, example, helpColumns, note } from './help.js';
import { addMaintenanceCommands, addMountCommands } from './maintenance-commands.js';

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  mount: ['eventfs mount --sticky global:1733 /dev/events'],
  umount: ['eventfs umount /dev/events'],
  watch: ["eventfs watch 'SUBSYSTEM==block, ACTION==add|remove' --properties"],
  emit: ['eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine'],
  status: ['eventfs status --json | jq .subscribers'],
  top: ['eventfs top --sort lost'],
  exec: ["eventfs exec --filter SUBSYSTEM==usb -- sh -c 'ls $EVENTS_DIR'"],
  run: ["eventfs run 'SUBSYSTEM==block, ACTION==add' --timeout 30 -- ./on-disk.sh"],
  wait: ["eventfs wait 'DEVNAME==sd?1' --existing --timeout 10 && mount /mnt/stick"],
  settle: ['eventfs coldplug && eventfs settle --timeout 30'],
  coldplug: ['eventfs coldplug SUBSYSTEM==net'],
  doctor: ['eventfs doctor --mount /dev/events'],
};

/**
 * Creates the command line's parser.
 *
 * @returns the program; its parser throws a CommanderError after it has printed a usage error, the
 *   help or the version
 */
export function createProgram(): Command {
  const program = emptyProgram();
  addMountCommands(program);
  addEventCommands(program);
  addMaintenanceCommands(program);
  addCompare(program);
  for (const command of program.commands) {
    const commands = EXAMPLES[command.name()];
    if (commands !== undefined) command.addHelpText('after', () => example(commands));
  }
  return program;
}

function emptyProgram(): Command {
  return new Command('eventfs')
    .enablePositionalOptions() // options after `exec COMMAND` belong to that command
    .description(
      'A filesystem in which a directory has the lifetime of a process. The kernel feeds it with device events.',
    )
    .version(version())
    .addHelpText('after', () =>
      note('mount(8) and /etc/fstab call it as: eventfs SOURCE DIR [-f] [-o OPTIONS]'),
    )
    .configureHelp(HELP)
    .exitOverride()
    .configureOutput({
      getOutHelpWidth: helpColumns,
      getErrHelpWidth: () => helpColumns(process.stderr),
      writeOut: print,
      outputError: (text, write) => write(`eventfs: ${oneLine(text)} (try eventfs --help)\n`),
    });
}

/** Returns the version in package.json. This file is compiled to dist/fs/cli/command-line/. */
function version(): string {
  const { version } = JSON.parse(
    readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8'),
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
