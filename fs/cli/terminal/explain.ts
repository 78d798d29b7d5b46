/** What a command says when it fails, in one line, and its exit code (docs/design.md, section 6). */
import { UsageError, UserError, isSystemError } from '../../shared/errors.js';

/** `notRun` and `notFound` are what env(1) and shells end with where a command can't be run, and where it is not there. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 100,
  systemCall: 111,
  notRun: 126,
  notFound: 127,
} as const;

/**
 * Says what went wrong. What is no refusal is thrown on.
 *
 * @param say where it is said (default standard error)
 * @returns the exit code
 */
export function explain(
  error: unknown,
  command: string,
  say = (message: string) => console.error(`eventfs: ${command}: ${message}`),
): number {
  if (error instanceof UserError) {
    say(error.message);
    if (error instanceof UsageError) return ExitCode.usage;
    return error.failedCall ? ExitCode.systemCall : ExitCode.failed;
  }
  if (isSystemError(error)) {
    const path = 'path' in error ? `${String(error.path)}` : error.syscall;
    return explain(UserError.from(error, path), command, say);
  }
  throw error;
}
