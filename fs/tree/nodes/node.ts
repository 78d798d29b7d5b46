/**
 * Base classes of all nodes (files and directories of the mount) and of all handles (open files).
 * Both are in one file because each refers to the other.
 */
import { type Timestamp, now } from '../../shared/timestamp.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { Errno, FsError } from '../../shared/errors.js';
import { HANDLE_BYTES } from '../prices.js';
import { type AttributeChanges, type Attributes, TYPE_MASK } from './attributes.js';
import { ALWAYS_READY } from './open-file/poll.js';
import { RecordedFile } from './open-file/recorded-file.js';

export * from './attributes.js';
export { ALWAYS_READY, Poll } from './open-file/poll.js';
export type { HandleType } from './open-file/recorded-file.js';

declare const nodeId: unique symbol;
/**
 * A node id: the number by which the kernel names a node (fuse_in_header.nodeid). The daemon never
 * reuses a number. 1 is the root.
 */
export type NodeId = number & { readonly [nodeId]: true };

/** Stands for the owner of nodes that no death ends. */
export const IMMORTAL = { isDead: false } as const;

/**
 * The mark that a process directory shares with everything in it. All nodes that last as long as
 * the mount share one mark, {@link FOREVER}.
 */
export class Lifetime {
  /** Whether the lifetime has ended by itself. */
  isEnded = false;

  /** @param owner its death ends the lifetime too */
  constructor(public owner: { readonly isDead: boolean } = IMMORTAL) {}

  /** Whether the lifetime has ended. Then every node that shares it is stale. */
  get over(): boolean {
    return this.isEnded || this.owner.isDead;
  }
}

/** The lifetime of nodes that last as long as the mount. */
export const FOREVER = new Lifetime();

/** The root's node id: FUSE_ROOT_ID. */
export const ROOT_ID = 1 as NodeId;
const NO_ATTRIBUTE = 'the file has no attribute of that name';

/**
 * A file or directory that the kernel knows by number. An operation that a class does not override
 * fails with the documented errno.
 */
export abstract class Node {
  /**
   * The kernel's lookup count: the number of replies that named the node, less the lookups that
   * FORGET requests took back.
   */
  lookups = 0;
  /** The number of open handles on the node. */
  opens = 0;
  /** The node is stale once this lifetime is over. */
  lifetime: Lifetime;
  /** When the daemon made the node, or an earlier daemon did. */
  born: Timestamp;

  /** @param born the time, for a node that another daemon has made; else now */
  constructor(
    readonly id: NodeId,
    lifetime: Lifetime,
    born: Timestamp = now(),
  ) {
    this.lifetime = lifetime;
    this.born = born;
  }

  /** st_ino. */
  get ino(): number {
    return this.id;
  }

  /** The node id of the directory that has the node, for a record; 0 if `id` alone finds it. */
  get parentId(): number {
    return 0;
  }

  /** The name there. */
  get nameInParent(): string {
    return '';
  }

  /** st_mode: type and permissions. */
  abstract get mode(): number;

  /** The type bits of st_mode. */
  get type(): number {
    return this.mode & TYPE_MASK;
  }

  /**
   * stat(2).
   * @param to receives all fields
   */
  abstract attributes(to: Attributes): void;

  /**
   * chmod(2), chown(2), utimensat(2), truncate(2).
   * @throws FsError EPERM unless a class overrides this
   */
  change(_changes: AttributeChanges): void {
    throw new FsError(Errno.EPERM, 'the attributes of this file cannot be changed');
  }

  /** The memory that the daemon charges for one open file of this node, in bytes. */
  get openHeap(): number {
    return HANDLE_BYTES;
  }

  /**
   * open(2).
   * @param flags the flags as the caller passed them
   * @returns a new handle
   */
  abstract open(flags: number, caller: Caller): Handle;

  /** Runs after write(2) has changed the contents, and after open(2) with O_TRUNC. */
  written(_caller: Caller): void {}

  /**
   * readlink(2).
   * @returns the target, bytes as characters
   * @throws FsError EINVAL unless the node is a symlink
   */
  readlink(): string {
    throw new FsError(Errno.EINVAL, 'the file is not a symlink');
  }

  /**
   * getxattr(2).
   * @returns the value, bytes as characters
   * @throws FsError ENODATA if the node has no attribute of that name
   */
  getXattr(_name: string): string {
    throw new FsError(Errno.ENODATA, NO_ATTRIBUTE);
  }

  /**
   * setxattr(2).
   * @throws FsError EOPNOTSUPP for a name that has no meaning here
   */
  setXattr(_name: string, _value: string, _caller: Caller): void {
    throw new FsError(Errno.EOPNOTSUPP, 'no attribute of that name can be set here');
  }

  /**
   * removexattr(2).
   * @throws FsError ENODATA if the node has no attribute of that name
   */
  removeXattr(_name: string, _caller: Caller): void {
    throw new FsError(Errno.ENODATA, NO_ATTRIBUTE);
  }

  /**
   * listxattr(2).
   * @returns the names of the attributes
   */
  listXattrs(): readonly string[] {
    return [];
  }

  /** Runs after the kernel has forgotten the node: then only the tree itself refers to it. */
  forgotten(): void {}
}

// ---- open files

declare const fileHandle: unique symbol;
/** A file handle: the number by which the kernel names an open file (fuse_open_out.fh). */
export type FileHandle = number & { readonly [fileHandle]: true };

/** The offset of a write with O_APPEND: the kernel does not know where the file ends. */
export const APPEND = -1;

/** A blocked read(2). Plain data: the driver finds the request by `slot`. */
export class ParkedRead {
  /** The list that holds the read, and its neighbours there (streams/read-list.ts). */
  list: object | null = null;
  previous: ParkedRead | null = null;
  next: ParkedRead | null = null;

  constructor(
    readonly slot: number,
    readonly handle: Handle,
    /** The most bytes that the reader takes. */
    readonly size: number,
  ) {}
}

/**
 * An open file of the mount. An operation that a class does not override fails with the documented
 * errno.
 */
export abstract class Handle extends RecordedFile {
  constructor(readonly node: Node) {
    super();
  }

  /** Whether the file is a stream: it has no position to seek, and its reads block. */
  get isStream(): boolean {
    return false;
  }

  /** Whether a read may wait for events. */
  get mayBlock(): boolean {
    return false;
  }

  /**
   * read(2).
   * @param _offset in bytes; a stream ignores it
   * @param _sink receives the bytes
   * @returns false, with no bytes put, if there is no data yet and the caller must wait. Only a
   * stream returns false.
   * @throws FsError EINVAL unless a class overrides this
   */
  read(_offset: number, _sink: Sink): boolean {
    throw new FsError(Errno.EINVAL, 'the file cannot be read');
  }

  /**
   * Whether everything that a read would return has come since the tree last woke blocked readers.
   * The tree wakes them soon, and by then more may have come: a read that may wait is answered
   * together with them.
   */
  get isFresh(): boolean {
    return false;
  }

  /**
   * write(2).
   * @param _bytes the buffer that holds the text
   * @param _start where the text begins in it
   * @param _length in bytes
   * @param _offset in bytes, or {@link APPEND} for the end of the file
   * @returns the number of bytes taken
   * @throws FsError EINVAL unless a class overrides this
   */
  write(_bytes: Uint8Array, _start: number, _length: number, _offset: number): number {
    throw new FsError(Errno.EINVAL, 'the file cannot be written');
  }

  /**
   * Parks a read: it waits until the tree answers it through the reply port.
   * @throws FsError EAGAIN unless a class overrides this
   */
  park(_read: ParkedRead): void {
    throw new FsError(Errno.EAGAIN, 'a read of this file never waits');
  }

  /** Ends the wait of a parked read that was interrupted. */
  unpark(_read: ParkedRead): void {}

  /**
   * poll(2).
   * @returns the ready events, bits of {@link Poll}
   */
  poll(): number {
    return ALWAYS_READY;
  }

  /** Notes that a process polls the file: the tree must wake it when `poll` would return more. */
  watch(): void {}

  /** Runs when the last descriptor is closed. */
  release(): void {}
}
