/** The file handles of pidfds (pidfs), as text: they name a process beyond the daemon's life. */
import { openPidfdByHandle, readPidfdHandle } from '#native';

const HANDLE_BYTES = 8;

/**
 * Returns the file handle of a pidfd.
 * @returns 16 hexadecimal digits; empty if the kernel has no such handles (before Linux 6.14)
 */
export function handleOf(pidfd: number): string {
  const handle = Buffer.alloc(HANDLE_BYTES);
  return readPidfdHandle(pidfd, handle) ? handle.toString('hex') : '';
}

/**
 * Opens a pidfd of the process that a handle names.
 * @returns the descriptor; -1 if the process has ended, or the handle is empty
 */
export function openByHandle(handle: string): number {
  return handle.length === 2 * HANDLE_BYTES ? openPidfdByHandle(Buffer.from(handle, 'hex')) : -1;
}
