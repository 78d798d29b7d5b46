/** Says whether the machine has FUSE over io_uring, and why a test that needs it can't run. */
import { writeFileSync } from 'node:fs';
import { RING_PARAMETER, isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';

/**
 * The errnos of a read when its daemon was killed. ECANCELED comes from io_uring, if the daemon had
 * not taken the request yet: the kernel's fuse_uring_entry_teardown ends those requests itself.
 */
export const CUT_OFF = /^(ECONNABORTED|ENOTCONN|ECANCELED)$/;

/** The messages of programs about these errnos (strerror(3)). */
export const CUT_OFF_MESSAGE =
  /: (Software caused connection abort|Transport endpoint is not connected|Operation canceled)$/m;

/** Returns the reason why tests of io_uring can't run; null if they can. */
export function missingRing(): string | null {
  const offered = isRingOffered();
  if (offered === undefined)
    return 'the kernel has no FUSE over io_uring (Linux 6.14 or newer is needed)';
  return offered ? null : `FUSE over io_uring is switched off (try echo Y > ${RING_PARAMETER})`;
}

/** How many calls of `withRing` need the switch. */
let users = 0;

/**
 * Runs `work` with FUSE over io_uring switched on, if it is off and this process may switch it.
 * Switches it off after the last of the calls that run at the same time.
 */
export async function withRing<T>(work: () => Promise<T>): Promise<T> {
  if (users === 0 && (isRingOffered() !== false || !set('Y'))) return work();
  users++;
  try {
    return await work();
  } finally {
    if (--users === 0) set('N');
  }
}

function set(value: 'Y' | 'N'): boolean {
  try {
    writeFileSync(RING_PARAMETER, value);
    return true;
  } catch {
    return false; // /sys may be read-only
  }
}
