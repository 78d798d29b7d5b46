/** The parser of the commands that show, publish or handle events: it loads no other. */
import type { Command } from 'commander';
import { addEventCommands } from './event-commands.js';
import { completeCommands, emptyProgram } from './program-parts.js';

/** Creates the parser for a command line that begins with one of these commands. */
export function createEventProgram(): Command {
  const program = emptyProgram();
  addEventCommands(program);
  return completeCommands(program);
}
