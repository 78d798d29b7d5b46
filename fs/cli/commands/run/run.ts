/** `eventfs run`: runs a command for each event. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseFilter } from '../../../client/events/text.js';
import { named } from '../../../shared/errors.js';
import { requireMount } from '../../../client/mounted.js';
import { adviseOnFilter } from '../../terminal/filter-advice.js';
import { ExitCode, RUN_HINTS } from '../../terminal/explain.js';
import { printError } from '../../terminal/output.js';
import { EventDirectories } from './event-directories.js';
import { Runner, STOP_SIGNALS } from './runner.js';

/** The options of `eventfs run`. */
export interface RunOptions {
  readonly jobs: number;
  /** The longest time that a command may run, in seconds. */
  readonly timeout?: number;
  readonly since?: string;
  readonly mount: string;
}

/**
 * Runs a command for each matching event until a signal or the daemon's end. The exit code is 103
 * after the daemon's end.
 *
 * @param filterText the events to choose, as a filter
 * @param command the program and its arguments
 * @throws UserError if the filter is invalid, or eventfs is not mounted there
 */
export async function run(
  filterText: string,
  command: readonly string[],
  options: RunOptions,
): Promise<void> {
  const filter = parseFilter(filterText);
  const missing = whyNotRunnable(command[0]);
  if (missing !== null) {
    printError(`run: ${named(command[0])}: ${missing.why}`);
    process.exitCode = missing.code;
    return;
  }
  const { jobs, timeout, since } = options;
  const directories = new EventDirectories(await requireMount(options.mount), filter, since);
  adviseOnFilter('run', filter);
  const runner = new Runner(directories, { filter, command, jobs, timeout });
  const isNohup = process.listenerCount('SIGHUP') > 0; // bin/eventfs ignores it then
  for (const signal of STOP_SIGNALS)
    if (signal !== 'SIGHUP' || !isNohup) process.on(signal, () => runner.stop());
  await runner.ended;
  if (runner.hasLostDaemon) process.exitCode = ExitCode.daemonEnded;
}

/** Returns why a command can't be run, or null: the user learns it before the first event. */
function whyNotRunnable(command: string): { why: string; code: number } | null {
  const places = command.includes('/')
    ? [command]
    : (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, command));
  let found = false;
  for (const place of places) {
    try {
      if (!statSync(place).isFile()) continue;
      found = true;
      accessSync(place, constants.X_OK);
      return null;
    } catch {
      continue;
    }
  }
  return found
    ? { why: `Permission denied (${RUN_HINTS.EACCES})`, code: ExitCode.notRun }
    : { why: `No such file or directory (${RUN_HINTS.ENOENT})`, code: ExitCode.notFound };
}
