/** Reads the kernel's switch for FUSE over io_uring. */
import { readFileSync } from 'node:fs';

/** The fuse module's parameter: whether the kernel offers io_uring to new mounts. */
export const RING_PARAMETER = '/sys/module/fuse/parameters/enable_uring';

/**
 * Reads the parameter.
 *
 * @returns whether the kernel offers io_uring to new mounts; undefined if it lacks the parameter
 */
export function isRingOffered(): boolean | undefined {
  try {
    return readFileSync(RING_PARAMETER, 'latin1').startsWith('Y');
  } catch {
    return undefined;
  }
}
