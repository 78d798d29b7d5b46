/** The kernel's switch for FUSE over io_uring. */
import { readFileSync } from 'node:fs';

/** A file that says whether the kernel offers io_uring to new mounts. */
export const RING_PARAMETER = '/sys/module/fuse/parameters/enable_uring';

/** @returns whether new mounts may have io_uring; undefined where the kernel does not know it */
export function isRingOffered(): boolean | undefined {
  try {
    return readFileSync(RING_PARAMETER, 'latin1').startsWith('Y');
  } catch {
    return undefined;
  }
}
