/** `eventfs exec`: runs a command that has a process directory of its own. */
import { readFileSync } from 'node:fs';
import { execute } from '#native';
import { UsageError, UserError, isSystemError } from '../../shared/errors.js';
import { dropOthers } from '../../client/events/files.js';
import { parseFilter } from '../../client/events/text.js';
import { requireMount } from '../../client/mounted.js';
import { makeOwnDirectory } from '../../client/own-directory.js';
import { inheritedDescriptors } from '../inherited-descriptors.js';
import { adviseOnFilter } from '../terminal/filter-advice.js';
import { ExitCode, RUN_HINTS } from '../terminal/explain.js';
import { printError } from '../terminal/output.js';

/** The options of `eventfs exec`. */
export interface ExecOptions {
  readonly filter: string;
  readonly since?: string;
  readonly label?: string;
  readonly mount: string;
}

/**
 * Makes a process directory, and replaces this process by the command with execve(2). So the
 * command owns the directory: no parent waits, nothing is to clean up, and signals and the exit
 * code are the command's own. Returns only if execve(2) fails.
 *
 * @throws UserError if the filter or label is invalid, eventfs is not mounted there, or the daemon
 *   refuses the directory
 */
export async function exec(command: readonly string[], options: ExecOptions): Promise<void> {
  const filter = parseFilter(options.filter);
  if (options.label?.includes('/') === true)
    throw new UsageError(`--label ${options.label}: a label can not contain /`);
  const mount = await requireMount(options.mount);
  adviseOnFilter('exec', filter);
  const directory = makeOwnDirectory(
    mount,
    options.label === undefined ? '' : `.${options.label}`,
    filter,
    options.since,
  );
  if (!filter.all) dropOthers(directory, filter);
  try {
    execute(
      rawArguments(command),
      environmentWith('EVENTS_DIR', directory),
      inheritedDescriptors(),
    );
  } catch (error) {
    if (!isSystemError(error)) throw error;
    printError(`exec: ${UserError.from(error, command[0], RUN_HINTS).message}`);
    process.exitCode = error.code === 'ENOENT' ? ExitCode.notFound : ExitCode.notRun;
  }
}

/**
 * Returns the command's arguments as this process got them, each ended by a NUL: process.argv
 * decodes UTF-8, and loses other bytes.
 */
function rawArguments(command: readonly string[]): Buffer {
  const all = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1);
  return Buffer.from(
    all
      .slice(-command.length)
      .map((argument) => `${argument}\0`)
      .join(''),
    'latin1',
  );
}

function environmentWith(name: string, value: string): Buffer {
  const variables = readFileSync('/proc/self/environ', 'latin1')
    .split('\0')
    .filter((variable) => variable !== '' && !variable.startsWith(`${name}=`));
  return Buffer.from(
    [...variables, `${name}=${Buffer.from(value).toString('latin1')}`]
      .map((variable) => `${variable}\0`)
      .join(''),
    'latin1',
  );
}
