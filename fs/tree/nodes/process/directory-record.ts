/** The record of a process directory for a later daemon. */
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Fields } from '../../../state/schema.js';
import { timeFields } from '../../../state/times.js';
import type { Filter } from '../../../uevent/filter/filter.js';
import type { OwnAttributes } from '../attributes.js';
import type { QueueStart } from './replay.js';

/**
 * The owner's handle in the record of a directory of `--sticky`: the daemon owns it, and after its
 * death the next daemon does.
 */
export const OF_DAEMON = 'daemon';

/** A directory that is recorded. */
interface RecordedDirectory {
  readonly id: number;
  /** The position in the root. */
  readonly position: number;
  readonly name: string;
  readonly owner: { readonly pid: number; readonly handle: string };
  readonly madeBy: number;
  readonly isSticky: boolean;
  readonly born: Timestamp;
  readonly permitted: Timestamp;
  readonly filter: Filter;
  readonly filtered: Timestamp;
}

/**
 * Returns the fields of a directory's record.
 * @param place `start`: the place in the log at which its queue begins; `listedTo`: see
 *   EventDirectory
 * @param isOrphaned whether it has been told that its owner is dead
 */
export function directoryFields(
  directory: RecordedDirectory,
  own: OwnAttributes,
  { start, listedTo }: { readonly start: QueueStart; readonly listedTo: number },
  isOrphaned: boolean,
): Fields<'directory'> {
  const { id, position, name, owner, madeBy, isSticky, filter } = directory;
  return {
    id,
    position,
    name,
    ownerPid: owner.pid,
    ownerHandle: isSticky && owner.pid === process.pid ? OF_DAEMON : owner.handle,
    mode: own.permissions,
    uid: own.uid,
    gid: own.gid,
    madeBy,
    isSticky: isSticky ? 1 : 0,
    isOrphaned: isOrphaned ? 1 : 0,
    ...timeFields('born', directory.born),
    ...timeFields('accessed', own.accessed),
    ...timeFields('permitted', directory.permitted),
    filter: filter.text,
    ...timeFields('filtered', directory.filtered),
    first: start.first,
    after: start.seqnum,
    shown: start.after,
    ...timeFields('moved', start.moved),
    listedTo,
  };
}

/** Returns the fields of the record of a directory that has ended, and is a ghost. */
export function ghostFields(
  { id, name, born }: Pick<RecordedDirectory, 'id' | 'name' | 'born'>,
  { permissions: mode, uid, gid }: OwnAttributes,
): Fields<'ghost'> {
  return { id, name, mode, uid, gid, ...timeFields('born', born) };
}
