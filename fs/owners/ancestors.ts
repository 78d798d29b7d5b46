/** Searches a process and its ancestors for a PID. */
import { type Pid, type ProcessStatus, readStatus } from './process.js';
import { system } from './system.js';

/**
 * The most generations of ancestors to search: each costs a read of /proc, and a user can create
 * thousands.
 */
const MOST_GENERATIONS = 32;

/**
 * Searches the caller's process and its ancestors for the PID `pid` in the caller's PID namespace.
 *
 * @returns its PID in the daemon's PID namespace; undefined if there is none
 * @throws FsError ENFILE if the daemon has no descriptor left
 */
export function ownOrAncestor(pid: number, caller: ProcessStatus): Pid | undefined {
  const namespace = system.namespaceOf(caller.pid, 'pid');
  let process: ProcessStatus | undefined = caller;
  for (let generation = 0; process !== undefined && generation < MOST_GENERATIONS; generation++) {
    // An ancestor is in the same PID namespace or in an outer one. In an outer one, the same number
    // can belong to another process.
    if (process.namespacePids.length < caller.namespacePids.length) return undefined;
    const innermost = process.namespacePids[process.namespacePids.length - 1];
    if (
      innermost === pid &&
      (process.pid === caller.pid || system.namespaceOf(process.pid, 'pid') === namespace)
    ) {
      return process.pid;
    }
    if (process.parent === 0) return undefined;
    process = readStatus(process.parent);
  }
  return undefined;
}
