/** io_uring as the transport: whether the machine has it, and what a test that needs it says where it has not. */
import { writeFileSync } from 'node:fs';
import { RING_PARAMETER, isRingOffered } from '../../fs/shared/kernel/ring-parameter.js';

/** Why tests of it can't run; null when they can. */
export function missingRing(): string | null {
  const offered = isRingOffered();
  if (offered === undefined)
    return 'the kernel has no FUSE over io_uring (Linux 6.14 or newer is needed)';
  return offered ? null : `FUSE over io_uring is switched off (try echo Y > ${RING_PARAMETER})`;
}

/** Switches it on for as long as `work` takes, where it is off and we may. */
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
