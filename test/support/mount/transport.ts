/** Says whether the machine has FUSE over io_uring, and why a test that needs it can't run. */
import { writeFileSync } from 'node:fs';
import { RING_PARAMETER, isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';

/** Returns the reason why tests of io_uring can't run; null if they can. */
export function missingRing(): string | null {
  const offered = isRingOffered();
  if (offered === undefined)
    return 'the kernel has no FUSE over io_uring (Linux 6.14 or newer is needed)';
  return offered ? null : `FUSE over io_uring is switched off (try echo Y > ${RING_PARAMETER})`;
}

/**
 * Runs `work` with FUSE over io_uring switched on, if it is off and this process may switch it.
 * Switches it off afterwards.
 */
export async function withRing<T>(work: () => Promise<T>): Promise<T> {
  if (isRingOffered() !== false || !set('Y')) return work();
  try {
    return await work();
  } finally {
    set('N');
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
