/** The parser of the commands that start, replace and end a daemon: it loads no other. */
import type { Command } from 'commander';
import { addMountCommands } from './mount-commands.js';
import { completeCommands, emptyProgram } from './program-parts.js';

/** Creates the parser for a command line that begins with one of these commands. */
export function createMountProgram(): Command {
  const program = emptyProgram();
  addMountCommands(program);
  return completeCommands(program);
}
