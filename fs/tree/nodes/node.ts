/**
 * Base classes of all nodes (files and directories of the mount) and of all handles (open files).
 * Both are in one file because each refers to the other.
 */
import { type Timestamp, now } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { Errno, FsError, NOT_FOUND } from '../../shared/errors.js';
import { MAX_EVENT_BYTES } from '../../uevent/text.js';
import { HANDLE_BYTES, URING_THREAD_BYTES, restHeap } from '../prices.js';
import { UringReads, type UringThread } from '../uring-reads.js';
import type { QuotaAccount } from '../quota.js';

declare const nodeId: unique symbol;
/**
 * A node id: the number by which the kernel names a node (fuse_in_header.nodeid). The daemon never
 * reuses a number. 1 is the root.
 */
export type NodeId = number & { readonly [nodeId]: true };

/** The file types of st_mode (inode(7)). */
export const FileType = {
  fifo: 0o010000,
  directory: 0o040000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;
/** The bits of st_mode that hold the file type (inode(7)). */
export const TYPE_MASK = 0o170000;
/** The bits of st_mode that hold permissions, set-user-ID, set-group-ID and sticky (inode(7)). */
export const PERMISSION_BITS = 0o7777;

/**
 * The mark that a process directory shares with everything in it. All nodes that last as long as
 * the mount share one mark, {@link FOREVER}.
 */
export class Lifetime {
  /** Whether the lifetime has ended. Then every node that shares it is stale. */
  over = false;
}

/** The lifetime of nodes that last as long as the mount. */
export const FOREVER = new Lifetime();

/** The root's node id: FUSE_ROOT_ID. */
export const ROOT_ID = 1 as NodeId;

/** The fields of stat(2) (fuse_attr). A node fills them in anew at each request. */
export interface Attributes {
  ino: number;
  size: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
}

/**
 * Returns an object for {@link Node.attributes} to fill in. A caller may use it again and again.
 */
export function emptyAttributes(): Attributes {
  const time = now();
  return {
    ino: 0,
    size: 0,
    mode: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    atime: time,
    mtime: time,
    ctime: time,
  };
}

/**
 * The changes that chmod(2), chown(2), utimensat(2) or truncate(2) requests. An absent field stays
 * as it is.
 */
export interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  /** In bytes. */
  size?: number;
  atime?: Timestamp;
  mtime?: Timestamp;
}

/** The reply to one readdir(3), which a directory adds its entries to. */
export interface Listing {
  /**
   * Adds an entry.
   * @param ino its inode number
   * @param type its type bits of st_mode
   * @param name bytes as characters
   * @param next the offset behind the entry
   * @returns false if the reply has no room left
   */
  add(ino: number, type: number, name: string, next: number): boolean;
}

const NO_ATTRIBUTE = 'it has no attribute of that name';

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
  /** When the daemon made the node. */
  readonly born: Timestamp = now();

  constructor(
    readonly id: NodeId,
    lifetime: Lifetime,
  ) {
    this.lifetime = lifetime;
  }

  /** st_ino. */
  get ino(): number {
    return this.id;
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
    throw new FsError(Errno.EPERM, 'its attributes do not change');
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
    throw new FsError(Errno.EINVAL, 'it is no symlink');
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
    throw new FsError(Errno.EOPNOTSUPP, 'no such attribute here');
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

/** A directory. An operation that a class does not override fails with the documented errno. */
export abstract class Directory extends Node {
  /**
   * Finds a child.
   * @param name bytes as characters
   * @param _caller the process that looks the name up, if the driver knows it. It may not see a
   * directory that another process made under its PID.
   * @returns the child, or undefined
   */
  abstract lookup(name: string, _caller?: Caller): Node | undefined;

  /** Returns the reason why `lookup` finds no child of that name, in words, for the trace. */
  whyNotFound(_name: string): string {
    return NOT_FOUND;
  }

  /**
   * The position at which a listing that begins now ends. The listing leaves out later entries, so
   * that it ends even if entries come faster than the caller reads.
   */
  get listingEnd(): number {
    return 0;
  }

  /**
   * readdir(3).
   * @param offset 0 for the beginning, else the `next` of the last entry that the caller has read
   * @param to receives the entries until it has no room
   * @param end the value of `listingEnd` when the listing began
   */
  abstract list(offset: number, to: Listing, end?: number): void;

  /**
   * Refuses open(2) of a directory as a file.
   * @throws FsError EISDIR
   */
  override open(): Handle {
    throw new FsError(Errno.EISDIR, 'a directory is not opened like a file');
  }

  /**
   * open(2) with O_CREAT of a name that is free.
   * @param _mode the permissions of the new file
   * @param _flags as in `open`
   * @returns a handle of the new file
   * @throws FsError EPERM unless a class overrides this
   */
  create(_name: string, _mode: number, _flags: number, _caller: Caller): Handle {
    throw new FsError(Errno.EPERM, 'no files can be made here');
  }

  /**
   * mknod(2), and bind(2) of a Unix socket.
   * @param _mode type and permissions
   * @throws FsError EPERM unless a class overrides this
   */
  mknod(_name: string, _mode: number, _caller: Caller): Node {
    throw new FsError(Errno.EPERM, 'no files can be made here');
  }

  /**
   * symlink(2).
   * @param _target any text, bytes as characters
   * @throws FsError EPERM unless a class overrides this
   */
  symlink(_name: string, _target: string, _caller: Caller): Node {
    throw new FsError(Errno.EPERM, 'no symlinks can be made here');
  }

  /**
   * link(2).
   * @param _node the file that gets another name
   * @returns the node of the new name
   * @throws FsError EPERM unless a class overrides this
   */
  link(_name: string, _node: Node): Node {
    throw new FsError(Errno.EPERM, 'no files can be made here');
  }

  /**
   * rename(2) of a name in this directory.
   * @param _to the target directory, which may be this one
   * @param _noReplace whether a name that is taken is an error, EEXIST (RENAME_NOREPLACE)
   * @throws FsError EPERM unless a class overrides this
   */
  rename(_name: string, _to: Directory, _newName: string, _noReplace: boolean): void {
    throw new FsError(Errno.EPERM, 'nothing can be renamed here');
  }

  /**
   * mkdir(2).
   * @param _mode permissions
   * @throws FsError EPERM unless a class overrides this
   */
  mkdir(_name: string, _mode: number, _caller: Caller): Directory {
    throw new FsError(Errno.EPERM, 'no directories can be made here');
  }

  /**
   * unlink(2).
   * @throws FsError EPERM unless a class overrides this
   */
  unlink(_name: string): void {
    throw new FsError(Errno.EPERM, 'nothing can be removed here');
  }

  /**
   * rmdir(2).
   * @throws FsError EPERM unless a class overrides this
   */
  rmdir(_name: string): void {
    throw new FsError(Errno.EPERM, 'nothing can be removed here');
  }
}

// ---- open files

declare const fileHandle: unique symbol;
/** A file handle: the number by which the kernel names an open file (fuse_open_out.fh). */
export type FileHandle = number & { readonly [fileHandle]: true };

/** The bits of poll(2). */
export const Poll = {
  in: 0x001,
  out: 0x004,
  error: 0x008,
  hangUp: 0x010,
  readNormal: 0x040,
  writeNormal: 0x100,
} as const;
/**
 * io_uring polls for a read with POLLIN and without POLLHUP. poll(2), select(2) and epoll(7) always
 * ask for POLLHUP too (fs/tree/uring-reads.ts).
 */
const URING_MASK = Poll.in | Poll.hangUp;
/** The readiness of a regular file. */
export const ALWAYS_READY = Poll.in | Poll.out | Poll.readNormal | Poll.writeNormal;

/** The offset of a write with O_APPEND: the kernel does not know where the file ends. */
export const APPEND = -1;

/** A blocked read(2). Plain data: the driver finds the request by `slot`. */
export interface ParkedRead {
  readonly slot: number;
  readonly handle: Handle;
  /** The most bytes that the reader takes. */
  readonly size: number;
}

/**
 * An open file of the mount. An operation that a class does not override fails with the documented
 * errno.
 */
export abstract class Handle {
  /**
   * The key by which the kernel wakes pollers of this file (fuse_poll_in.kh), as two 32-bit words.
   * It is set while a process polls.
   */
  pollKeyLow = 0;
  pollKeyHigh = 0;
  /** The account that the tree charges for the handle, from the time when it has a file handle. */
  account: QuotaAccount | null = null;
  /** The memory charged for the handle, in bytes. */
  heap = 0;

  /** The number of kept bytes of a partly read record for which the account is charged. */
  #rest = 0;

  /** The threads that read the file by io_uring, or null before the first one does. */
  #uring: UringReads | null = null;
  /**
   * The last short read of a thread that `#uring` does not hold: the thread, the offset, and the
   * number of bytes that the read lacked. Without a poll before the read, the daemon can see that
   * io_uring reads only when a read gets too few bytes.
   */
  #shortTid = 0;
  #shortOffset = 0;
  #shortRest = 0;

  constructor(readonly node: Node) {}

  /** Whether the file is a stream: it has no position to seek, and its reads block. */
  get isStream(): boolean {
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
    throw new FsError(Errno.EINVAL, 'it can not be read');
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
   * Charges the opener for memory.
   * @param more in bytes; a negative number refunds
   * @throws FsError EDQUOT or ENOSPC
   */
  protected chargeHeap(more: number): void {
    if (more > 0) this.account?.chargeItem('memory', more);
    else this.account?.refundItem('memory', -more);
    this.heap += more;
  }

  /**
   * Refuses a read whose rest the opener could not be charged for. A stream calls it before each
   * read. If a whole record does not fit `room`, the handle keeps its rest for the next read. That
   * read must not fail, so this one fails instead.
   * @param room the bytes that the read takes
   * @throws FsError EDQUOT or ENOSPC
   */
  protected assertRestFits(room: number): void {
    const { account } = this;
    if (room <= MAX_EVENT_BYTES && account !== null && !account.fitsItem('memory', MAX_EVENT_BYTES))
      account.chargeItem('memory', MAX_EVENT_BYTES);
  }

  /** The number of bytes that the handle keeps of a partly read record. */
  get restLength(): number {
    return 0;
  }

  /** Adapts the charge to the number of bytes that the handle now keeps. It never fails. */
  chargeRest(): void {
    const rest = this.restLength;
    if (rest === this.#rest) return;
    const more = restHeap(rest) - restHeap(this.#rest);
    this.#rest = rest;
    this.account?.forceChargeItem('memory', more);
    this.heap += more;
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
    throw new FsError(Errno.EINVAL, 'it can not be written');
  }

  /**
   * Parks a read: it waits until the tree answers it through the reply port.
   * @throws FsError EAGAIN unless a class overrides this
   */
  park(_read: ParkedRead): void {
    throw new FsError(Errno.EAGAIN, 'its reads never wait');
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

  /**
   * poll(2) by a thread.
   * @param tid the thread, or 0 if it is outside the daemon's PID namespace
   * @param events the events that the thread asks for, bits of {@link Poll}
   * @param isWatched whether the kernel wants to be told of a change
   * @returns the ready events. POLLIN and POLLRDNORM are among them too where they make io_uring
   * complete a READ that has got all that there is.
   */
  pollFor(tid: number, events: number, isWatched: boolean): number {
    const ready = this.poll();
    if ((events & URING_MASK) !== Poll.in) return ready;
    const thread = this.#uring?.find(tid) ?? this.#addUringThread(tid);
    const isReady = thread?.poll(events === Poll.in, isWatched, (ready & Poll.in) !== 0) === true;
    return isReady ? ready | Poll.in | Poll.readNormal : ready;
  }

  /**
   * Finds a thread that reads the file by io_uring.
   * @param tid as in `pollFor`
   * @returns undefined for any other thread
   */
  uringThread(tid: number): UringThread | undefined {
    return this.#uring === null ? undefined : this.#uring.find(tid);
  }

  /**
   * Starts to record the reads of a thread.
   * @returns undefined if the opener may hold no more memory: then io_uring reads this file like
   * any other
   */
  #addUringThread(tid: number): UringThread | undefined {
    this.#uring ??= new UringReads();
    if (!this.#uring.isFull) {
      if (this.account?.tryChargeItem('memory', URING_THREAD_BYTES) !== true) return undefined;
      this.heap += URING_THREAD_BYTES;
    }
    const thread = this.#uring.add(tid);
    if (this.#shortTid === tid && this.#shortRest > 0)
      thread.gotShort(this.#shortOffset, this.#shortRest, false);
    return thread;
  }

  /**
   * Records that a read got fewer bytes than it asked for, but some.
   * @param tid as in `pollFor`
   * @param offset where the read began; devfuse passes 0 for a stream
   * @param rest the number of bytes that the read lacked
   * @param isLong whether the read was as long as a request can be
   */
  gotShort(tid: number, offset: number, rest: number, isLong: boolean): void {
    const thread = this.uringThread(tid);
    if (thread !== undefined) return thread.gotShort(offset, rest, isLong);
    this.#shortTid = tid;
    this.#shortOffset = offset;
    this.#shortRest = rest;
  }

  /**
   * Recognises a repeated read of io_uring by its place and size alone, for a driver that knows
   * neither the caller nor its polls. Programs do not make such a read of a file, because their
   * position has moved on. They do make it of a stream, so no read of a stream is recognised.
   * @returns whether the read asks at the same offset for exactly the bytes that the last read
   * lacked; false for a stream
   */
  asksForRest(offset: number, size: number): boolean {
    const isRest = size === this.#shortRest && offset === this.#shortOffset && !this.isStream;
    this.#shortRest = 0;
    return isRest;
  }

  /** Notes that a process polls the file: the tree must wake it when `poll` would return more. */
  watch(): void {}

  /** Runs when the last descriptor is closed. */
  release(): void {}
}
