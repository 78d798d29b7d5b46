/**
 * `eventfs compare`: runs the comparison program in benchmarks/. That program is part of a clone;
 * the product does not need it.
 */
import type { Command } from 'commander';
import { UserError } from '../../shared/errors.js';

/**
 * The program's name in package.json. No static import names it, so that the product compiles and
 * runs without it.
 */
const PROGRAM = '#compare';

/** The exports of the comparison program. */
interface Program {
  /**
   * @param command an empty command that prints like the other commands
   * @param args the arguments after `compare`
   */
  readonly main: (command: Command, args: readonly string[]) => Promise<void>;
}

/** Adds the command. It hands all its arguments to the program. */
export function addCompare(program: Command): void {
  program
    .command('compare')
    .description(
      'compare eventfs with sockets, netlink, passed descriptors and plain files, and write a report with plots',
    )
    .usage('[options]')
    .argument('[ARGUMENT...]', 'eventfs compare --help lists the options')
    .helpOption(false) // --help goes to the program too
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: string[], _options: unknown, command: Command) => {
      const comparison = await load();
      await comparison.main(
        program
          .createCommand('eventfs compare')
          .copyInheritedSettings(program)
          .configureOutput(command.configureOutput()),
        args,
      );
    });
}

/** @throws UserError if the program, or a package that it needs, is missing */
async function load(): Promise<Program> {
  try {
    return (await import(PROGRAM)) as Program;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'))
      throw error;
    const name = /^Cannot find package '([^']+)'/.exec(error.message)?.[1];
    if (name !== undefined)
      throw new UserError(
        `the npm package ${name} is not installed (try npm ci in the project's directory)`,
      );
    throw new UserError(
      'the comparison program is missing or not built: it comes with a clone of the project (try make there)',
    );
  }
}
