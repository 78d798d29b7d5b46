/** The kinds of records of the tree without its open files. */
import { BORN, type KindSchema, N, T, TIMES } from './fields.js';

/** The kinds. A time is two fields: seconds, and nanoseconds. */
export const TREE_KINDS = {
  /** A process directory, by node id. */
  directory: {
    id: 4,
    keys: 1,
    fields: {
      id: N,
      position: N,
      name: T,
      ownerPid: N,
      /**
       * The pidfs file handle of the owner, 16 hexadecimal digits; empty if the kernel has none.
       * `daemon` for the daemon itself, whatever PID it has.
       */
      ownerHandle: T,
      mode: N,
      uid: N,
      gid: N,
      madeBy: N,
      isSticky: N,
      isOrphaned: N,
      ...BORN,
      accessedSec: N,
      accessedNsec: N,
      permittedSec: N,
      permittedNsec: N,
      filter: T,
      filteredSec: N,
      filteredNsec: N,
      first: N,
      after: N,
      shown: T,
      movedSec: N,
      movedNsec: N,
      listedTo: N,
    },
  },
  /** A dead owner's directory that the notifier has not removed yet, by node id. */
  ghost: {
    id: 21,
    keys: 1,
    fields: { id: N, name: T, mode: N, uid: N, gid: N, bornSec: N, bornNsec: N },
  },
  /** The queue of a directory, by the directory's node id. */
  queue: {
    id: 15,
    keys: 1,
    fields: {
      directory: N,
      nextPosition: N,
      lost: N,
      /** The losses that no reader was told of: `position count ...`. */
      losses: T,
      /** The position before which all events were announced; -1 if no process may watch. */
      announcedTo: N,
      /** The times of the directory. */
      modifiedSec: N,
      modifiedNsec: N,
      changedSec: N,
      changedNsec: N,
      /** The number of the next event when this was recorded: later ones have changed the times. */
      asOf: N,
    },
  },
  /**
   * An entry of a queue, by directory and position. Of `log/` only files that were looked up: the
   * record `counters` has the others.
   */
  link: {
    id: 5,
    keys: 2,
    fields: {
      directory: N,
      position: N,
      /** The inode number of the event. */
      ino: N,
      /** The name in the directory; empty if it is that of the event. */
      name: T,
      /** The node id of its file; 0 if no process has looked it up. */
      node: N,
    },
  },
  /** An event that a user made as a file, by inode number. */
  written: {
    id: 6,
    keys: 1,
    fields: {
      ino: N,
      name: T,
      mode: N,
      uid: N,
      gid: N,
      madeBy: N,
      ...TIMES,
      /** The user and group that are charged while only open files hold it; -1 for none. */
      keeperUid: N,
      keeperGid: N,
    },
  },
  /** A file of the root that always exists, by node id. */
  rootFile: {
    id: 16,
    keys: 1,
    fields: {
      id: N,
      mode: N,
      uid: N,
      gid: N,
      ...TIMES,
    },
  },
  /** A file of `match/` that the kernel knows, by node id. */
  matchFile: { id: 23, keys: 1, fields: { id: N, name: T } },
  /** A FIFO, socket or symlink, by node id. */
  special: {
    id: 7,
    keys: 1,
    fields: {
      id: N,
      directory: N,
      position: N,
      name: T,
      mode: N,
      uid: N,
      gid: N,
      target: T,
      ...BORN,
      ...TIMES,
    },
  },
} as const satisfies Readonly<Record<string, KindSchema>>;
