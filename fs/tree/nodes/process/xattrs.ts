/** The extended attributes (xattr(7)) of a process directory. */
import type { Entry, Queue } from '../../../bus/queue.js';
import type { Caller, Owner } from '../../../owners/owners.js';
import { Errno, FsError } from '../../../shared/errors.js';
import type { Filter, FilterLimits } from '../../../uevent/filter/filter.js';
import { EVERYTHING, parse } from '../../filter-charge.js';

const STICKY = 'user.eventfs_sticky';
const FILTER = 'user.eventfs.filter';

/** A directory with these attributes. */
export interface AttributedDirectory {
  readonly uid: number;
  readonly owner: Owner;
  readonly queue: Queue<Entry>;
  readonly filter: Filter;
  /** The size limits of a filter. */
  readonly limits: FilterLimits;
  /** Whether the directory stays after its owner has died. */
  readonly isSticky: boolean;
  /**
   * Makes the directory sticky, or makes it end with its owner: at once, if the owner is dead.
   */
  setSticky(isSticky: boolean): void;
  /**
   * Sets the filter.
   * @throws FsError EDQUOT or ENOSPC if the filter costs too much; then the old one stays
   */
  setFilter(filter: Filter): void;
}

/**
 * The attributes that a process can read. A Map, because callers choose the names: in an object
 * `constructor` would be found too.
 */
const READABLE: ReadonlyMap<string, (directory: AttributedDirectory) => string> = new Map([
  [FILTER, ({ filter }: AttributedDirectory) => filter.text],
  ['user.eventfs.owner', ({ owner }: AttributedDirectory) => String(owner.pid)],
  ['user.eventfs.pending', ({ queue }: AttributedDirectory) => String(queue.entries.size)],
  ['user.eventfs.lost', ({ queue }: AttributedDirectory) => String(queue.lost)],
]);

/** @throws FsError EPERM unless the caller is uid 0 or the user of the directory */
function refuseOthers(directory: AttributedDirectory, caller: Caller): void {
  if (caller.uid !== 0 && caller.uid !== directory.uid)
    throw new FsError(Errno.EPERM, "only the directory's user and root may change this attribute");
}

/** @throws FsError EPERM for an attribute that only the daemon changes */
function refuseReadOnly(name: string): void {
  if (READABLE.has(name)) throw new FsError(Errno.EPERM, `the attribute ${name} is read-only`);
}

/** listxattr(2): returns the names of the attributes. */
export function attributeNames({ isSticky }: AttributedDirectory): readonly string[] {
  return [...READABLE.keys(), ...(isSticky ? [STICKY] : [])];
}

/**
 * getxattr(2). The value of sticky is empty.
 * @returns the value; undefined if the directory has no attribute of that name
 */
export function attributeValue(directory: AttributedDirectory, name: string): string | undefined {
  if (name === STICKY && directory.isSticky) return '';
  return READABLE.get(name)?.(directory);
}

/**
 * setxattr(2).
 * @returns whether a process directory can have an attribute of that name
 * @throws FsError EPERM for an attribute that is read-only, and for sticky or the filter if the
 * caller is neither uid 0 nor the user of the directory; the errors of `parse` and `setFilter` for
 * the filter
 */
export function setAttribute(
  directory: AttributedDirectory,
  name: string,
  value: string,
  caller: Caller,
): boolean {
  if (name === STICKY) {
    refuseOthers(directory, caller);
    directory.setSticky(true);
    return true;
  }
  if (name === FILTER) {
    refuseOthers(directory, caller);
    directory.setFilter(parse(value, directory.limits));
    return true;
  }
  refuseReadOnly(name);
  return false;
}

/**
 * removexattr(2). Without sticky the directory ends with its owner again, at once if the owner is
 * dead. Without a filter it takes everything.
 * @returns whether the directory had an attribute of that name
 * @throws FsError EPERM as for `setAttribute`
 */
export function removeAttribute(
  directory: AttributedDirectory,
  name: string,
  caller: Caller,
): boolean {
  if (name === STICKY && directory.isSticky) {
    refuseOthers(directory, caller);
    directory.setSticky(false);
    return true;
  }
  if (name === FILTER) {
    refuseOthers(directory, caller);
    directory.setFilter(EVERYTHING);
    return true;
  }
  refuseReadOnly(name);
  return false;
}
