/** `eventfs compare`: hands over to the program in benchmarks/, which belongs to a clone and which the product does not need. */
import type { Command } from 'commander';
import { UserError } from '../../shared/errors.js';

/** What package.json calls the program. No import names it, so that the product compiles and runs without it. */
const PROGRAM = '#compare';

/** What the program exports. */
interface Program {
  /**
   * @param command an empty command that prints as the others do
   * @param args what follows `compare` on the command line
   */
  readonly main: (command: Command, args: readonly string[]) => Promise<void>;
}

export function addCompare(program: Command): void {
  program
    .command('compare')
    .description(
      'measure eventfs side by side with sockets, netlink, passed descriptors and plain files; writes a report with plots',
    )
    .usage('[options]')
    .argument('[ARGUMENT...]', 'eventfs compare --help lists the options')
    .helpOption(false) // --help goes to the program too
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: string[]) => {
      const comparison = await load();
      await comparison.main(
        program.createCommand('eventfs compare').copyInheritedSettings(program),
        args,
      );
    });
}

/** @throws UserError where the program, or a package that it needs, is not there */
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
      'its program is not here, or not built: it comes with a clone of the project, in benchmarks/ (try make there)',
    );
  }
}
