/** The descriptor of /dev/fuse that libfuse opens. libfuse does not report when it closes it. */
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { openDevice } from '../common/mount-fuse.js';

/**
 * Makes sure that /dev/fuse can be opened. Without it, libfuse prints the reason, but reports no
 * error that the driver could catch.
 * @throws UserError
 */
export function refuseWithoutFuse(): void {
  closeSync(openDevice());
}

/** Returns the daemon's descriptors of /dev/fuse. */
export function connections(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => linkOf(fd) === '/dev/fuse');
}

/**
 * Returns whether a descriptor is still one of /dev/fuse. libfuse closes its own once all files are
 * closed after an unmount, or once the connection is aborted.
 */
export function isConnection(fd: number): boolean {
  return fd >= 0 && linkOf(fd) === '/dev/fuse';
}

/** Returns the target of /proc/self/fd/<fd>, or undefined if the descriptor is not open. */
function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}
