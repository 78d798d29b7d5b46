/** The one way to refuse an operation: throw an {@link FsError}; the driver turns it into `-errno` (errno(3)). */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Linux's error numbers by name, positive. */
export const Errno = constants.errno;

// Reversed, so that of two names for one number the first stays: EAGAIN, not EWOULDBLOCK.
const nameOf = new Map(
  Object.entries(Errno)
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

/** The name of an errno, as in `ENOENT`. */
export function errnoName(errno: number): string {
  return nameOf.get(errno) ?? `errno ${errno}`;
}

/** A refusal that the caller of the system call is meant to see, as its errno. */
export class FsError extends Error {
  /** @param why for people, who see it in the trace and the log; a constant where a user can have it said in a loop */
  constructor(
    readonly errno: number,
    readonly why: string,
  ) {
    super(`${errnoName(errno)}: ${why}`);
  }
}

/** Why a lookup finds nothing, until the trace looks for a better reason. */
export const NOT_FOUND = 'there is nothing of that name';

/** What the addon and Node's own system calls throw. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

/** Whether `error` comes from a failed system call, optionally with the given code. */
export function isSystemError(error: unknown, code?: string): error is SystemError {
  return (
    error instanceof Error &&
    'syscall' in error &&
    'code' in error &&
    (code === undefined || error.code === code)
  );
}

/** What people are told of an errno (strerror(3)), as in `Permission denied`. */
export function errnoText(errno: number): string {
  const text = getSystemErrorMap().get(-Math.abs(errno))?.[1] ?? errnoName(Math.abs(errno));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A refusal for people, in one line that says what to do. `failedCall` when a system call's errno is the reason. */
export class UserError extends Error {
  constructor(
    message: string,
    readonly failedCall = false,
  ) {
    super(message);
  }

  /** From a failed system call: `<subject>: <strerror>`, and a hint for the codes that have one. */
  static from(
    error: SystemError,
    subject: string,
    hints: Readonly<Record<string, string>> = {},
  ): UserError {
    const hint = hints[error.code];
    return new UserError(
      `${subject}: ${errnoText(error.errno)}${hint === undefined ? '' : ` (${hint})`}`,
      true,
    );
  }
}

/** A refusal of what somebody has asked for in the wrong way: an option or a configuration file. */
export class UsageError extends UserError {}
