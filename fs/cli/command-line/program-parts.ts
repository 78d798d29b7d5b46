/** The parts that every parser of the command line has: the program's own options, and the help. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { EXIT_CODE_MEANINGS, ExitCode } from '../terminal/explain.js';
import { print, printError } from '../terminal/output.js';
import { refuseEmptyPaths } from './empty-paths.js';
import { refuseOtherEncodings } from './encoding.js';
import { HELP, example, helpColumns, note } from './help.js';
import { mountBefore } from './mount-option.js';

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  mount: ['eventfs mount --sticky global:1733 /dev/events'],
  reload: ['eventfs reload /dev/events'],
  umount: ['eventfs umount /dev/events'],
  watch: [
    "eventfs watch 'SUBSYSTEM==block, ACTION==add|remove' --properties",
    "eventfs watch --format '{time} {action} {subsystem} {devpath}' --count 5",
    'eventfs watch SUBSYSTEM==usb --record plug.events',
  ],
  emit: [
    'eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine',
    'eventfs emit --replay plug.events --speed 10',
  ],
  status: ['eventfs status --json | jq .subscribers'],
  top: ['eventfs top --sort lost'],
  exec: ["eventfs exec --filter SUBSYSTEM==usb -- sh -c 'ls $EVENTS_DIR'"],
  run: ["eventfs run 'SUBSYSTEM==block, ACTION==add' --timeout 30 -- ./on-disk.sh"],
  wait: ["eventfs wait 'DEVNAME==sd?1' --existing --timeout 10 && mount /mnt/stick"],
  settle: ['eventfs coldplug && eventfs settle --timeout 30'],
  coldplug: ['eventfs coldplug SUBSYSTEM==net'],
  doctor: ['eventfs doctor --mount /dev/events'],
  bridge: [
    "eventfs bridge --broker mqtts://broker --publish 'SUBSYSTEM==block' --fleet /dev/fleet",
    'eventfs bridge --status',
  ],
};

/** Creates a parser without commands. */
export function emptyProgram(): Command {
  const program: Command = new Command('eventfs')
    .enablePositionalOptions() // options after `exec COMMAND` belong to that command
    .description(
      'A filesystem in which a directory has the lifetime of a process. The kernel feeds it with device events.',
    )
    .version(version())
    .addHelpText('after', () => `\n${exitCodes(program)}`)
    .addHelpText('after', () =>
      note('mount(8) and /etc/fstab call it as: eventfs SOURCE DIR [-f] [-o OPTIONS]'),
    )
    .configureHelp(HELP)
    .exitOverride()
    .configureOutput({
      getOutHelpWidth: helpColumns,
      getErrHelpWidth: () => helpColumns(process.stderr),
      writeOut: print,
      outputError: hintAt('eventfs --help'),
    });
  mountBefore(program);
  return program;
}

/** Returns the part of the help about exit codes. */
function exitCodes(program: Command): string {
  const help = program.createHelp();
  help.prepareContext({ helpWidth: program.configureOutput().getOutHelpWidth?.() ?? 80 });
  const names = Object.keys(ExitCode) as (keyof typeof ExitCode)[];
  const lines = names.map((name) =>
    help.formatItem(String(ExitCode[name]), 3, EXIT_CODE_MEANINGS[name], help),
  );
  return `Exit codes:\n${lines.join('\n')}`;
}

/** Adds to each command its example, and to its errors the name of its help. */
export function completeCommands(program: Command): Command {
  refuseOtherEncodings(program);
  refuseEmptyPaths(program);
  for (const command of program.commands) {
    const excess = excessHint(command);
    command.configureOutput({ outputError: hintAt(`eventfs ${command.name()} --help`, excess) });
    const commands = EXAMPLES[command.name()];
    if (commands !== undefined) command.addHelpText('after', () => example(commands));
  }
  return program;
}

/**
 * Prints a usage error in one line, with the command that shows the help. commander's own way of
 * writing ends the process with another exit code if standard error is a full disk.
 *
 * @param excess what may be meant by an argument too many
 */
function hintAt(help: string, excess = ''): (text: string) => void {
  return (text) => {
    const hint = text.includes('too many arguments') ? excess : '';
    printError(`${oneLine(text)} (${hint}try ${help})`);
  };
}

/** Returns what may be meant by an argument too many of a command. */
function excessHint(command: Command): string {
  const takes = (name: string): boolean =>
    command.registeredArguments.some((argument) => argument.name().toLowerCase() === name);
  if (takes('filter')) return 'a filter with blanks needs quotes; ';
  if (takes('dir') || command.options.every(({ long }) => long !== '--mount')) return '';
  return 'a directory stands behind --mount; ';
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
