/** Reads the namespaces of processes: /proc/<pid>/ns, namespaces(7). */
import { existsSync, readlinkSync } from 'node:fs';

/**
 * Returns whether /proc shows this process's own PID namespace. If not, the PIDs in it belong to
 * other processes.
 */
export function seesOwnNamespace(): boolean {
  return wrongProc() === null;
}

/** Returns why /proc does not show this process's own PID namespace; null if it does. */
export function wrongProc(): string | null {
  if (!existsSync('/proc/uptime')) return 'it is not mounted';
  try {
    if (readlinkSync('/proc/self') === `${process.pid}`) return null;
  } catch {
    // it shows an inner namespace
  }
  return 'it shows another PID namespace than that of this process';
}

/**
 * Returns the namespace of a process as an opaque name, for comparisons.
 *
 * @param id a PID or thread id in the namespace that /proc shows
 * @returns undefined if the link cannot be read
 */
export function namespaceOf(id: number | 'self', kind: 'pid' | 'user'): string | undefined {
  try {
    return readlinkSync(`/proc/${id}/ns/${kind}`);
  } catch {
    return undefined;
  }
}
