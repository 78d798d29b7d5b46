/**
 * The errors of the daemon and the commands. To refuse an operation, throw an {@link FsError}; the
 * driver converts it into `-errno` (errno(3)).
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Linux's error numbers by name, as positive numbers. Node's table lacks ETOOMANYREFS. */
export const Errno = { ...constants.errno, ETOOMANYREFS: 109 };

// Reversed, so that the first of two names for one number remains: EAGAIN, not EWOULDBLOCK.
const nameOf = new Map(
  Object.entries(Errno)
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

/**
 * Returns the name of an errno, as in `ENOENT`.
 *
 * @param errno a positive errno
 */
export function errnoName(errno: number): string {
  return nameOf.get(errno) ?? `errno ${errno}`;
}

/** A refusal that the caller of the system call sees as its errno. */
export class FsError extends Error {
  /**
   * @param errno a positive errno
   * @param why the reason, for the trace and the log; a constant if a user can cause it in a loop
   */
  constructor(
    readonly errno: number,
    readonly why: string,
  ) {
    super(`${errnoName(errno)}: ${why}`);
  }
}

/** The reason of a lookup that finds nothing. The trace replaces it by a better one. */
export const NOT_FOUND = 'no entry has this name';

/** The error of a failed system call, as the addon and Node throw it. */
export interface SystemError extends Error {
  /** The errno's name, as in `ENOENT`, if libuv knows it: see {@link codeOf}. */
  readonly code: string;
  readonly errno: number;
  /** The name of the system call. */
  readonly syscall: string;
}

/**
 * Returns the errno's name, as in `ENOENT`. libuv lacks some errnos, such as EDQUOT and ESTALE: the
 * `code` of their errors is `Unknown system error -122`.
 */
export function codeOf(error: SystemError): string {
  return error.code.startsWith('E') ? error.code : errnoName(Math.abs(error.errno));
}

/**
 * Returns whether `error` comes from a failed system call.
 *
 * @param code an errno's name, as in `ENOENT`; if given, the error must have it
 */
export function isSystemError(error: unknown, code?: string): error is SystemError {
  return (
    error instanceof Error &&
    'syscall' in error &&
    'code' in error &&
    (code === undefined || codeOf(error as SystemError) === code)
  );
}

/** The errnos of a shortage. */
const SHORTAGES: ReadonlySet<number> = new Set([
  Errno.ETOOMANYREFS, // unix(7): too many descriptors of one user are in flight
  Errno.EMFILE,
  Errno.ENFILE,
  Errno.ENOBUFS,
  Errno.ENOMEM,
]);

/**
 * Returns whether an errno states a shortage of descriptors or kernel memory. Then a question to
 * the kernel has no answer yet: the thing that it asks for may be there.
 *
 * @param errno positive or negative
 */
export function isShortage(errno: number): boolean {
  return SHORTAGES.has(Math.abs(errno));
}

/** The messages of errnos that libuv lacks, or writes without a capital. */
const MESSAGES: ReadonlyMap<number, string> = new Map([
  [Errno.EIO, 'I/O error'],
  [Errno.EDQUOT, 'disk quota exceeded'],
  [Errno.ESTALE, 'stale file handle'],
]);

/**
 * Returns the message of an errno (strerror(3)), as in `Permission denied`.
 *
 * @param errno positive or negative
 */
export function errnoText(errno: number): string {
  const positive = Math.abs(errno);
  const known = MESSAGES.get(positive) ?? getSystemErrorMap().get(-positive)?.[1];
  const text = known ?? errnoName(positive);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** An error for the user, in one line that says what to do. */
export class UserError extends Error {
  /**
   * Makes an error from a failed system call: `<subject>: <strerror>`, and a hint if its code has
   * one.
   *
   * @param subject the path or the thing that the system call failed for
   * @param hints hints by errno name
   */
  static from(
    error: SystemError,
    subject: string,
    hints: Readonly<Record<string, string>> = {},
  ): FailedCallError {
    const code = codeOf(error);
    const remedy = hints[code] === undefined ? '' : ` (${hints[code]})`;
    return new FailedCallError(`${named(subject)}: ${errnoText(error.errno)}${remedy}`);
  }
}

/** Returns a text for a message, in which an empty one would not be seen. */
export function named(text: string): string {
  return text === '' ? "''" : text;
}

/** The errno of a system call is the reason. */
export class FailedCallError extends UserError {}

/** An error of usage: a wrong option, argument, filter or configuration file. */
export class UsageError extends UserError {}

/** No daemon serves the directory: there is no mount, or its daemon is dead or does not answer. */
export class NotServedError extends UserError {}

/** The daemon has ended while a command used its mount. */
export class DaemonEndedError extends UserError {}
