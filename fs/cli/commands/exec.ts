/** `eventfs exec`: run a command with a process directory of its own. */
import { readFileSync, readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import { execute } from '#native';
import type { Filter } from '../../uevent/filter/filter.js';
import { UserError, errnoText, isSystemError } from '../../shared/errors.js';
import { eventNames, eventPath, readEvent } from '../../client/event-files.js';
import { parseEvent, parseFilter, tellsOfLoss } from '../../client/event-text.js';
import { requireMount } from '../../client/mounted.js';
import { makeOwnDirectory } from '../../client/own-directory.js';
import type { SeqNum } from '../../uevent/text.js';
import { O_ACCMODE } from '../../shared/open-flags.js';
import { ExitCode } from '../terminal/explain.js';

/** Standard error. */
const LAST_STANDARD = 2;

export interface ExecOptions {
  readonly filter: string;
  readonly since?: SeqNum;
  readonly label?: string;
  readonly mount: string;
}

/**
 * The directory belongs to this process, and execve(2) makes this process the command: there is no parent that waits and nothing to
 * clean up, and signals and the exit code are the command's own. Does not return if that works.
 */
export async function exec(command: readonly string[], options: ExecOptions): Promise<void> {
  const filter = parseFilter(options.filter);
  if (options.label?.includes('/') === true)
    throw new UserError(`--label ${options.label}: a name has no /`);
  const mount = await requireMount(options.mount);
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
    console.error(`eventfs: exec: ${command[0]}: ${errnoText(error.errno)}`);
    process.exitCode = error.code === 'ENOENT' ? ExitCode.notFound : ExitCode.notRun;
  }
}

/** Events that came before the filter was there, and would not have come after it. */
function dropOthers(directory: string, filter: Filter): void {
  for (const name of eventNames(directory)) {
    const path = eventPath(directory, name);
    const text = readEvent(path);
    if (text === null) continue;
    const event = parseEvent(text);
    if (!tellsOfLoss(event) && !filter.matches(event)) unlinkSync(path);
  }
}

/** The last of our own arguments as they were given: process.argv takes them for UTF-8, and loses what is not. */
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

/**
 * What whoever started us has handed on. Node makes all of it close-on-exec, and what it opens itself too: event loops, and
 * pipes that have both their ends here.
 */
function inheritedDescriptors(): number[] {
  const found = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const flags = /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1];
      return [
        {
          fd: Number(fd),
          target: readlinkSync(`/proc/self/fd/${fd}`),
          access: parseInt(flags, 8) & O_ACCMODE,
        },
      ];
    } catch {
      return []; // the listing's own
    }
  });
  const isOurs = ({ target, access }: (typeof found)[number]): boolean =>
    target.startsWith('anon_inode:') ||
    (target.startsWith('pipe:') &&
      found.some((other) => other.target === target && other.access !== access));
  return found
    .filter((opened) => opened.fd <= LAST_STANDARD || !isOurs(opened))
    .map(({ fd }) => fd);
}
