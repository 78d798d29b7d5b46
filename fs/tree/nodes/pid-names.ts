/** The names `<pid>` and `<pid>.<label>` of the root, and the process that such a name is for. */
import type { Caller, Owner, Owners } from '../../owners/owners.js';

/** Matches `<pid>` and `<pid>.<label>`. The PID is a decimal number without leading zeros. */
const PID_NAME = /^(0|[1-9][0-9]*)(\.[^]*)?$/;

/** Returns the PID that a name begins with, or undefined. */
export function pidOf(name: string): number | undefined {
  const pid = PID_NAME.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** A directory of the root. */
export interface NamedDirectory {
  readonly name: string;
  readonly owner: Owner;
  /** The uid of the user that made the directory. */
  readonly madeBy: number;
  /** Whether the owner is dead and the directory stays because it is sticky. */
  readonly isOrphaned: boolean;
}

/**
 * Returns whether a directory gives way to the caller. A live process always gets an empty
 * directory under its own PID. So a directory gives way if its name has the PID of the process and
 * the process does not own it. There are two such cases: a sticky directory that a dead process of
 * that PID has left, and a directory that a user made for the process before it gained rights (by
 * execve(2) of a set-user-ID program). The process and its descendants (a shell makes its directory
 * through mkdir(1)) do not see that directory, and their mkdir(2) ends it.
 *
 * To find the PID of the caller takes two or three reads of /proc, so the daemon looks only if the
 * directory may have to give way.
 * @param caller the process that looks the name up, if the driver knows it
 */
export function givesWay(
  directory: NamedDirectory,
  caller: Caller | undefined,
  owners: Owners,
): boolean {
  const { isOrphaned, madeBy } = directory;
  if (!isOrphaned && (madeBy === 0 || caller === undefined || caller.uid === madeBy)) return false;
  const pid = pidOf(directory.name);
  if (pid === undefined) return false;
  if (!isOrphaned && owners.effectiveUidOf(directory.owner) === madeBy) return false;
  // fuse-native does not tell the caller: then any live process of that PID is enough.
  return caller === undefined ? owners.isAlive(pid) : owners.meant(pid, caller) !== undefined;
}
