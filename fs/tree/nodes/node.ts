/** What all files and directories of the mount have in common, and all open files: each of the two knows the other. */
import { type Timestamp, now } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { Errno, FsError, NOT_FOUND } from '../../shared/errors.js';
import { MAX_EVENT_BYTES } from '../../uevent/text.js';
import { HANDLE_BYTES, URING_THREAD_BYTES, restHeap } from '../prices.js';
import { UringReads, type UringThread } from '../uring-reads.js';
import type { QuotaAccount } from '../quota.js';

declare const nodeId: unique symbol;
/** What the kernel calls an inode by: fuse_in_header.nodeid. Never reused; 1 is the root. */
export type NodeId = number & { readonly [nodeId]: true };

/** The file types of st_mode (inode(7)). */
export const FileType = {
  fifo: 0o010000,
  directory: 0o040000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;
export const TYPE_MASK = 0o170000;
export const PERMISSION_BITS = 0o7777;

/** As long as something is there. One for each process directory and all that is in it, one for all that never ends. */
export class Lifetime {
  over = false;
}

/** The lifetime of what stays as long as the mount. */
export const FOREVER = new Lifetime();

/** The root's node id: FUSE_ROOT_ID. */
export const ROOT_ID = 1 as NodeId;

/** What stat(2) shows, filled in anew each time (fuse_attr). */
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

/** Attributes to be filled in, again and again. */
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

/** What chmod(2), chown(2), utimensat(2) and truncate(2) ask for; what is absent stays. */
export interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: Timestamp;
  mtime?: Timestamp;
}

/** One entry that readdir(3) shows. */
export interface Listing {
  /** Adds an entry; `next` is the offset behind it. False when there is no room left. */
  add(ino: number, type: number, name: string, next: number): boolean;
}

const NO_ATTRIBUTE = 'it has no attribute of that name';

export abstract class Node {
  /** The kernel's lookup count: how often a reply has named the node, less what FORGET took back. */
  lookups = 0;
  /** How many handles are open on it. */
  opens = 0;
  /** The node is stale once this is over. */
  lifetime: Lifetime;
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

  abstract attributes(to: Attributes): void;

  /** chmod(2), chown(2), utimensat(2), truncate(2). EPERM where nothing can be changed. */
  change(_changes: AttributeChanges): void {
    throw new FsError(Errno.EPERM, 'its attributes do not change');
  }

  /** What an open file of it costs, in bytes. */
  get openHeap(): number {
    return HANDLE_BYTES;
  }

  /** open(2): `flags` as the caller gave them. */
  abstract open(flags: number, caller: Caller): Handle;

  /** write(2) has changed what is in it, or open(2) with O_TRUNC. */
  written(_caller: Caller): void {}

  /** readlink(2). EINVAL for all but symlinks. */
  readlink(): string {
    throw new FsError(Errno.EINVAL, 'it is no symlink');
  }

  /** getxattr(2): the value, bytes as characters. ENODATA when it has none of that name. */
  getXattr(_name: string): string {
    throw new FsError(Errno.ENODATA, NO_ATTRIBUTE);
  }

  /** setxattr(2). EOPNOTSUPP for a name that means nothing here. */
  setXattr(_name: string, _value: string, _caller: Caller): void {
    throw new FsError(Errno.EOPNOTSUPP, 'no such attribute here');
  }

  /** removexattr(2). ENODATA when it has none of that name. */
  removeXattr(_name: string, _caller: Caller): void {
    throw new FsError(Errno.ENODATA, NO_ATTRIBUTE);
  }

  /** listxattr(2). */
  listXattrs(): readonly string[] {
    return [];
  }

  /** The kernel has forgotten the node: nothing refers to it but its place in the tree. */
  forgotten(): void {}
}

/** A directory. What it does not override it refuses. */
export abstract class Directory extends Node {
  /**
   * @param name bytes as characters
   * @param _caller the process that looks, where that is known: it may not see a directory that another made under its PID
   * @returns the child called so, or undefined
   */
  abstract lookup(name: string, _caller?: Caller): Node | undefined;

  /** Why `lookup` finds nothing of that name, in words: for the trace. */
  whyNotFound(_name: string): string {
    return NOT_FOUND;
  }

  /** Where a listing that begins now ends: what comes later is not in it, so that it ends however fast more comes. */
  get listingEnd(): number {
    return 0;
  }

  /** Lists from `offset` on, up to what `listingEnd` was when the listing began; offset 0 is the beginning. */
  abstract list(offset: number, to: Listing, end?: number): void;

  override open(): Handle {
    throw new FsError(Errno.EISDIR, 'a directory is not opened like a file');
  }

  /** open(2) with O_CREAT of a name that is free. */
  create(_name: string, _mode: number, _flags: number, _caller: Caller): Handle {
    throw new FsError(Errno.EPERM, 'no files can be made here');
  }

  /** mknod(2), and bind(2) of a Unix socket. `mode` is type and permissions. */
  mknod(_name: string, _mode: number, _caller: Caller): Node {
    throw new FsError(Errno.EPERM, 'no files can be made here');
  }

  /** symlink(2). `target` is any text, bytes as characters. */
  symlink(_name: string, _target: string, _caller: Caller): Node {
    throw new FsError(Errno.EPERM, 'no symlinks can be made here');
  }

  /** link(2). */
  link(_name: string, _node: Node): Node {
    throw new FsError(Errno.EPERM, 'no files can be made here');
  }

  /** rename(2) from here into `to`, which may be here too. With `noReplace` a name that is taken is EEXIST. */
  rename(_name: string, _to: Directory, _newName: string, _noReplace: boolean): void {
    throw new FsError(Errno.EPERM, 'nothing can be renamed here');
  }

  mkdir(_name: string, _mode: number, _caller: Caller): Directory {
    throw new FsError(Errno.EPERM, 'no directories can be made here');
  }

  unlink(_name: string): void {
    throw new FsError(Errno.EPERM, 'nothing can be removed here');
  }

  rmdir(_name: string): void {
    throw new FsError(Errno.EPERM, 'nothing can be removed here');
  }
}

// ---- open files

declare const fileHandle: unique symbol;
/** What the kernel calls an open file by: fuse_open_out.fh. */
export type FileHandle = number & { readonly [fileHandle]: true };

/** Readiness, as in poll(2). */
export const Poll = {
  in: 0x001,
  out: 0x004,
  error: 0x008,
  hangUp: 0x010,
  readNormal: 0x040,
  writeNormal: 0x100,
} as const;
/** With these two in the mask only POLLIN is set where io_uring polls for a read. */
const URING_MASK = Poll.in | Poll.hangUp;
/** A regular file is always ready. */
export const ALWAYS_READY = Poll.in | Poll.out | Poll.readNormal | Poll.writeNormal;

/** The offset of a write with O_APPEND: where the end is, the kernel does not know. */
export const APPEND = -1;

/** A read(2) that waits for an event. Plain data: the driver knows the request by `slot`. */
export interface ParkedRead {
  readonly slot: number;
  readonly handle: Handle;
  /** The most bytes it takes. */
  readonly size: number;
}

/** What every open file has in common. What it does not override it refuses. */
export abstract class Handle {
  /** By which the kernel wakes who polls it (fuse_poll_in.kh), as two words; set while somebody does. */
  pollKeyLow = 0;
  pollKeyHigh = 0;
  /** Where it is charged since it has a number, and how many bytes of memory. */
  account: QuotaAccount | null = null;
  heap = 0;

  /** For how many bytes of a record that was read in part it is charged. */
  #rest = 0;

  /** The threads that read it by io_uring, once one does. */
  #uring: UringReads | null = null;
  /**
   * The last read of a thread that is none of those: without a poll before it nothing tells that
   * io_uring reads until it has got too few bytes. Which thread, where, and how many more it asked
   * for.
   */
  #shortTid = 0;
  #shortOffset = 0;
  #shortRest = 0;

  constructor(readonly node: Node) {}

  /** Whether it is a stream: cannot be seeked, and reads block. */
  get isStream(): boolean {
    return false;
  }

  /** read(2). False, with nothing put, when there is nothing yet and the caller must wait: only streams do that. */
  read(_offset: number, _sink: Sink): boolean {
    throw new FsError(Errno.EINVAL, 'it can not be read');
  }

  /**
   * Whether all that a read would hand over has come since those who wait were told last. They will be told soon, and more may
   * have come by then: a read that may wait does so with them.
   */
  get isFresh(): boolean {
    return false;
  }

  /** Charges the opener `more` bytes of memory, or less. EDQUOT, ENOSPC. */
  protected chargeHeap(more: number): void {
    if (more > 0) this.account?.chargeItem('memory', more);
    else this.account?.refundItem('memory', -more);
    this.heap += more;
  }

  /**
   * Before a stream is read. Where there is no room for a whole record, what did not fit is kept for the next read, which must not
   * be refused: so this one is. EDQUOT, ENOSPC.
   */
  protected assertRestFits(room: number): void {
    const { account } = this;
    if (room <= MAX_EVENT_BYTES && account !== null && !account.fitsItem('memory', MAX_EVENT_BYTES))
      account.chargeItem('memory', MAX_EVENT_BYTES);
  }

  /** How many bytes are kept of a record that was read in part. */
  get restLength(): number {
    return 0;
  }

  /** Charges what is kept of a record now. */
  chargeRest(): void {
    const rest = this.restLength;
    if (rest === this.#rest) return;
    const more = restHeap(rest) - restHeap(this.#rest);
    this.#rest = rest;
    this.account?.forceChargeItem('memory', more);
    this.heap += more;
  }

  /** write(2), at the end when `offset` is {@link APPEND}; gives how many bytes it took. */
  write(_bytes: Uint8Array, _start: number, _length: number, _offset: number): number {
    throw new FsError(Errno.EINVAL, 'it can not be written');
  }

  /** The read waits from now on until the tree answers it through the port. */
  park(_read: ParkedRead): void {
    throw new FsError(Errno.EAGAIN, 'its reads never wait');
  }

  /** The read has been interrupted: it waits no more. */
  unpark(_read: ParkedRead): void {}

  /** poll(2): what it is ready for. */
  poll(): number {
    return ALWAYS_READY;
  }

  /**
   * poll(2) by a thread that asks for `events`.
   * @param isWatched whether the kernel asks to be told of a change
   * @returns what it is ready for, or what makes io_uring complete a READ that has got all that
   * there is
   */
  pollFor(tid: number, events: number, isWatched: boolean): number {
    const ready = this.poll();
    if ((events & URING_MASK) !== Poll.in) return ready;
    const thread = this.#uring?.find(tid) ?? this.#addUringThread(tid);
    const isReady = thread?.poll(events === Poll.in, isWatched, (ready & Poll.in) !== 0) === true;
    return isReady ? ready | Poll.in | Poll.readNormal : ready;
  }

  /** The thread, if it reads by io_uring. */
  uringThread(tid: number): UringThread | undefined {
    return this.#uring === null ? undefined : this.#uring.find(tid);
  }

  /**
   * Undefined where there is no memory to be had for it: then io_uring reads as it does anywhere.
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
   * A read got fewer bytes than it asked for, but some.
   * @param rest how many more it asked for @param isLong whether it was as long as a request can be
   */
  gotShort(tid: number, offset: number, rest: number, isLong: boolean): void {
    const thread = this.uringThread(tid);
    if (thread !== undefined) return thread.gotShort(offset, rest, isLong);
    this.#shortTid = tid;
    this.#shortOffset = offset;
    this.#shortRest = rest;
  }

  /**
   * Where neither the caller nor its polls are known: whether a read asks at the same place for
   * just what the last one did not get, which programs do not do, since the position has moved on.
   * Of a stream, where they do, nothing can be told.
   */
  asksForRest(offset: number, size: number): boolean {
    const isRest = size === this.#shortRest && offset === this.#shortOffset && !this.isStream;
    this.#shortRest = 0;
    return isRest;
  }

  /** It is polled: the driver has to tell when `poll` would say more. */
  watch(): void {}

  /** The last descriptor is closed. */
  release(): void {}
}
