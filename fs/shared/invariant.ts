/**
 * Invariants that cost too much to check in production. EVENTFS_ASSERT=throw or =abort turns the checks on; the test
 * runner does. A daemon aborts, because an exception would only become EIO for one caller.
 */
import { writeSync } from 'node:fs';

const MODE = process.env.EVENTFS_ASSERT;

/** Whether the invariants are checked in this process. */
export const ASSERTS = MODE === 'throw' || MODE === 'abort';

/** An invariant does not hold: the program is wrong, not its caller. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Reports a broken invariant: aborts the process, or throws where the tests run in this process.
 * @param message which invariant does not hold
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
