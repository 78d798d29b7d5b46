/** The errors of the library. */
import { type SystemError, codeOf, errnoText } from '../shared/errors.js';

/**
 * The reason of an {@link EventfsError}:
 *
 * - `BAD_OPTION`: an option has a wrong type or value, or excludes another.
 * - `BAD_FILTER`: the text is not a filter.
 * - `BAD_EVENT`: the event can't be published in this form.
 * - `NOT_MOUNTED`: eventfs is not mounted at the path.
 * - `MOUNT_FAILED`: the daemon ended before it could serve the mount.
 * - `DAEMON_STUCK`: the daemon does not answer in time.
 * - `DAEMON_ENDED`: the daemon has ended, so the stream has too.
 * - `REFUSED`: a system call failed; {@link EventfsError.errno} names the error.
 */
export type EventfsErrorCode =
  | 'BAD_OPTION'
  | 'BAD_FILTER'
  | 'BAD_EVENT'
  | 'NOT_MOUNTED'
  | 'MOUNT_FAILED'
  | 'DAEMON_STUCK'
  | 'DAEMON_ENDED'
  | 'REFUSED';

/**
 * The error of every function of the library. Its message is one line that says what is wrong and
 * what to do.
 */
export class EventfsError extends Error {
  /** The name of the class. */
  override readonly name = 'EventfsError';

  /** The errno's name if a system call failed, as in `EACCES`. */
  readonly errno: string | undefined;

  constructor(
    /** The reason, for programs. */
    readonly code: EventfsErrorCode,
    message: string,
    options: {
      /** The errno's name if a system call failed. */
      readonly errno?: string;
      /** The error of the system call. */
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.errno = options.errno;
  }
}

/**
 * Makes the error of a failed system call.
 *
 * @param subject the path or the thing that the system call failed for
 * @param hints what to do, by errno name
 */
export function refused(
  error: SystemError,
  subject: string,
  hints: Readonly<Record<string, string>> = {},
): EventfsError {
  const code = codeOf(error);
  const hint = hints[code];
  return new EventfsError(
    'REFUSED',
    `${subject}: ${errnoText(error.errno)}${hint === undefined ? '' : ` (${hint})`}`,
    { errno: code, cause: error },
  );
}
