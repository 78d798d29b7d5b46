/** Reports a command's failure: one line, and an exit code (docs/design.md, section 6). */
import {
  DaemonEndedError,
  FailedCallError,
  NotServedError,
  type SystemError,
  UsageError,
  UserError,
  isSystemError,
} from '../../shared/errors.js';
import { messageLine, printError } from './output.js';

/**
 * The exit codes. As in env(1) and shells, `notRun` means that a command can't be run, and
 * `notFound` that it does not exist.
 */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 100,
  notServed: 102,
  daemonEnded: 103,
  systemCall: 111,
  notRun: 126,
  notFound: 127,
} as const;

/** The meaning of each exit code for a user of the command line: eventfs(1) lists it. */
export const EXIT_CODE_MEANINGS: Readonly<Record<keyof typeof ExitCode, string>> = {
  ok: 'The command did what it is for.',
  failed: 'The command failed, or it ends after its time-out.',
  usage: 'The command line, a filter or the configuration is wrong.',
  notServed:
    'No daemon serves the mount: eventfs is not mounted there, or its daemon does not answer.',
  daemonEnded: 'The daemon has ended while the command waited.',
  systemCall: 'A system call failed.',
  notRun: 'The command that exec or run starts cannot be run.',
  notFound: 'The command that exec or run starts does not exist.',
};

/** The hints for a command that can't be run, by errno name. */
export const RUN_HINTS = {
  ENOENT: 'check its name and PATH',
  EACCES: 'it must be an executable file',
  ETXTBSY: 'another process writes its file: replace the file by mv',
} as const;

/** The hints for a file that can't be read or written, by errno name. */
export const FILE_HINTS = {
  ENOENT: 'check the path',
  ENOTDIR: 'check the path',
  ELOOP: 'check the path',
  ENAMETOOLONG: 'shorten the path',
  EISDIR: 'give a file',
  EACCES: 'check the rights of the file and of its directory',
  EROFS: 'choose another directory',
  ENOSPC: 'make room, then start again',
} as const;

/** Hints for a system call that no command expects to fail, by errno name. */
const LIMIT_HINTS = {
  EMFILE: 'raise ulimit -n',
  ENFILE: 'raise fs.file-max',
  EFBIG: 'raise ulimit -f',
  ENOMEM: 'raise ulimit -v, or free memory',
} as const;
const PROC_HINTS = { ...LIMIT_HINTS, ENOENT: 'mount -t proc proc /proc' } as const;

/** Returns in one line why a command can't be started. */
export function startFailure(error: SystemError): string {
  return UserError.from(error, 'it cannot be started', RUN_HINTS).message;
}

/** The error of a machine for which the package has no addon: native/index.js. */
interface AddonError extends Error {
  readonly hint: string;
}

/** Returns whether an error says that the addon can't be loaded. */
export function isAddonError(error: unknown): error is AddonError {
  return error instanceof Error && 'code' in error && error.code === 'ERR_ADDON';
}

/**
 * Reports an error in one line.
 *
 * @param command the subcommand that failed
 * @param say prints the message (default: on standard error)
 * @returns the exit code
 * @throws the error itself if it is no UserError and no SystemError
 */
export function explain(
  error: unknown,
  command: string,
  say = (message: string) => printError(`${command}: ${message}`),
): number {
  if (error instanceof UserError) {
    say(messageLine(error.message)); // a path of the user may contain line ends
    return exitCodeOf(error);
  }
  if (isSystemError(error)) {
    const path = 'path' in error ? `${String(error.path)}` : error.syscall;
    const hints = path.startsWith('/proc/') ? PROC_HINTS : LIMIT_HINTS;
    return explain(UserError.from(error, path, hints), command, say);
  }
  if (isAddonError(error)) {
    say(`the addon can't be loaded: ${error.message} (${error.hint})`);
    return ExitCode.systemCall;
  }
  throw error;
}

function exitCodeOf(error: UserError): number {
  if (error instanceof UsageError) return ExitCode.usage;
  if (error instanceof NotServedError) return ExitCode.notServed;
  if (error instanceof DaemonEndedError) return ExitCode.daemonEnded;
  return error instanceof FailedCallError ? ExitCode.systemCall : ExitCode.failed;
}
