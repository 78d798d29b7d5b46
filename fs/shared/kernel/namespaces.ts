/** Reads the namespaces of processes: /proc/<pid>/ns, namespaces(7). */
import { readlinkSync } from 'node:fs';

/**
 * Returns whether /proc shows this process's own PID namespace. If not, the PIDs in it belong to
 * other processes.
 */
export function seesOwnNamespace(): boolean {
  try {
    return readlinkSync('/proc/self') === `${process.pid}`;
  } catch {
    return false; // /proc is not mounted, or shows an inner namespace
  }
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
