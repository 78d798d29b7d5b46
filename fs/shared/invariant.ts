/**
 * Invariants that cost too much to check in production. EVENTFS_ASSERT=throw or
 * EVENTFS_ASSERT=abort turns the checks on; the test runner sets it. A daemon aborts, because an
 * exception would only become EIO for one caller.
 */
import { writeSync } from 'node:fs';

const MODE = process.env.EVENTFS_ASSERT;

/** Whether this process checks the invariants. */
export const ASSERTS = MODE === 'throw' || MODE === 'abort';

/** A broken invariant: the program is wrong, not its caller. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Reports a broken invariant. With EVENTFS_ASSERT=abort, it prints the stack and aborts the
 * process. Otherwise it throws, for tests that run in this process.
 *
 * @param message the invariant that does not hold
 * @throws InvariantError
 */
export function broken(message: string): never {
  const error = new InvariantError(message);
  if (MODE === 'abort') {
    writeSync(2, `eventfs: ${error.stack ?? message}\n`);
    process.abort();
  }
  throw error;
}
