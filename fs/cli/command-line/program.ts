/**
 * Declares the command line: all subcommands with their options and help texts. The code of each
 * subcommand is a file of its own, loaded when the command runs.
 */
import type { Command } from 'commander';
import { addCompare } from '../commands/compare.js';
import { addBridge } from './bridge-command.js';
import { addEventCommands } from './event-commands.js';
import { addMaintenanceCommands } from './maintenance-commands.js';
import { addMountCommands } from './mount-commands.js';
import { completeCommands, emptyProgram } from './program-parts.js';

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
  addBridge(program);
  addCompare(program);
  return completeCommands(program);
}
