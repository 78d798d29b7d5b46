/** Which namespaces processes are in: /proc/<pid>/ns, namespaces(7). */
import { readlinkSync } from 'node:fs';

/** Whether /proc shows the PID namespace that we are in ourselves: else its numbers are other processes'. */
export function seesOwnNamespace(): boolean {
  try {
    return readlinkSync('/proc/self') === `${process.pid}`;
  } catch {
    return false; // it is not mounted, or of a namespace further in
  }
}

/** Which namespace of a kind a process is in, as an opaque name that can be compared; undefined when it can't be told. */
export function namespaceOf(id: number | 'self', kind: 'pid' | 'user'): string | undefined {
  try {
    return readlinkSync(`/proc/${id}/ns/${kind}`);
  } catch {
    return undefined;
  }
}
