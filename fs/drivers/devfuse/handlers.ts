/**
 * The handlers of the kernel's requests. Each comment names the system call that causes the
 * request, the reply, and the errors. All can also fail with ESTALE, if the node or handle has
 * ended, and with EIO, for a malformed request.
 *
 * A handler builds its reply last. Until then, an answer to parked reads may use the same memory.
 */
import { Errno, FsError, NOT_FOUND } from '../../shared/errors.js';
import { now } from '../../bus/event.js';
import {
  FUSE_POLL_SCHEDULE_NOTIFY,
  FUSE_READ_LOCKOWNER,
  FUSE_ROOT_ID,
  OpenFlag,
  RenameFlag,
  SetattrValid as Valid,
  Size,
} from '../../fuse/abi.js';
import { LONG_READ_BYTES } from '../../fuse/session.js';
import { DONE, type Handlers, NO_REPLY } from '../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../fuse/reply.js';
import type { Request } from '../../fuse/request.js';
import { EventDirectory } from '../../tree/nodes/event-directory.js';
import { EventFile } from '../../tree/nodes/event-file.js';
import { LogDirectory } from '../../tree/nodes/log-directory.js';
import { Directory } from '../../tree/nodes/directory.js';
import {
  APPEND,
  type AttributeChanges,
  FOREVER,
  type FileHandle,
  Handle,
  type Node,
  type NodeId,
  type ParkedRead,
  emptyAttributes,
} from '../../tree/nodes/node.js';
import type { Tree } from '../../tree/tree.js';
import {
  NAME_MAX,
  NAME_TOO_LONG,
  STATFS_BLOCK_BYTES,
  refuseLong,
  refuseTaken,
  refuseTarget,
  setXattr,
} from '../common/calls.js';
import { O_APPEND, O_NONBLOCK } from '../../shared/open-flags.js';
import type { ReplySink } from './reply-sink.js';

/**
 * How long the kernel may cache the root's attributes, in seconds. It caches no others: only the
 * root's are such that no owner's death makes them stale.
 */
const ROOT_ATTR_VALID_SECONDS = 1;

/** The reasons of errors that may come often. */
const NO_DIRECTORY = 'it is no directory';
const NOT_CACHED =
  'what can end is not read into the page cache (sendfile, splice, mmap): read(2) it';
const NOTHING_YET = 'no event has come yet, and the caller does not wait (O_NONBLOCK)';

/** The driver, as far as the handlers need it. */
export interface Reads {
  /** Begins a reply with at most `size` bytes of data, and returns its sink. */
  sink(size: number): ReplySink;
  /**
   * Parks the READ that is being served.
   * @param size the most bytes that it takes
   * @throws FsError EAGAIN if too many reads are parked, in all or of this user
   */
  park(handle: Handle, size: number): ParkedRead;
  /** Ends the parked read with this `unique` with EINTR. Does nothing if there is none. */
  interrupt(uniqueLow: number, uniqueHigh: number): void;
  /** Tells the driver that a process has opened a stream, whose reads may block. */
  streamOpened(): void;
  /** Whether events have come that the driver will soon hand to parked reads. */
  readonly holds: boolean;
  /**
   * Whether the daemon is ending: then no read blocks, and a read of a stream returns end of file.
   */
  readonly ending: boolean;
}

/** An open directory. */
class DirectoryHandle extends Handle {
  /** The end of the listing, as it was when the listing began: at opendir(3) or rewinddir(3). */
  end: number;

  constructor(override readonly node: Directory) {
    super(node);
    this.end = node.listingEnd;
  }
}

/** Serves the requests of all processes but the notifier. */
export class TreeHandlers implements Handlers {
  readonly #attributes = emptyAttributes();

  constructor(
    protected readonly tree: Tree,
    private readonly reads: Reads,
  ) {}

  /**
   * Every path walk sends it, for each component. Replies fuse_entry_out; fails with ENOENT,
   * ENAMETOOLONG, ENOTDIR.
   */
  lookup(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const name = request.name();
    if (name.length > NAME_MAX) return reply.refuse(Errno.ENAMETOOLONG, NAME_TOO_LONG);
    const node = directory.lookup(name, request);
    if (node === undefined) return reply.refuse(Errno.ENOENT, NOT_FOUND);
    this.entry(reply, node);
    return DONE;
  }

  /** The kernel sends it when it drops an inode. No reply. */
  forget(request: Request): Outcome {
    this.tree.forget(request.nodeid as NodeId, request.u64());
    return NO_REPLY;
  }

  /** The kernel sends it when it drops many inodes. No reply. */
  batchForget(request: Request): Outcome {
    const count = request.u32();
    request.skip(4);
    for (let i = 0; i < count; i++) this.tree.forget(request.u64() as NodeId, request.u64());
    return NO_REPLY;
  }

  /**
   * stat(2), fstat(2), and the permission check of every path walk and of inotify_add_watch(2).
   * Replies fuse_attr_out.
   */
  getattr(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    if (node instanceof EventDirectory) this.tree.inotify.onGetattr(node, request.pid);
    this.#attr(reply, node);
    return DONE;
  }

  /**
   * chmod(2), chown(2), utimensat(2), truncate(2). Replies fuse_attr_out; fails with EPERM, EINVAL,
   * EFBIG.
   */
  setattr(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    node.change(readChanges(request));
    this.#attr(reply, node);
    return DONE;
  }

  /**
   * readlink(2), and every path walk through a symlink. Replies the target; fails with EINVAL,
   * ENOENT.
   */
  readlink(request: Request, reply: Reply): Outcome {
    reply.text(this.#node(request).readlink());
    return DONE;
  }

  /** mkdir(2). Replies fuse_entry_out; fails with EEXIST, EPERM, ESRCH, ENAMETOOLONG, ENFILE. */
  mkdir(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const mode = request.u32();
    request.skip(4); // umask: the kernel has applied it already
    this.entry(reply, directory.mkdir(this.name(request), mode, request));
    return DONE;
  }

  /**
   * mknod(2), mkfifo(3), bind(2) of a Unix socket. Replies fuse_entry_out; fails with EPERM for
   * devices, EEXIST, ENAMETOOLONG.
   */
  mknod(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const mode = request.u32();
    request.skip(12); // rdev, umask, padding
    const name = this.name(request);
    refuseTaken(directory, name);
    this.entry(reply, directory.mknod(name, mode, request));
    return DONE;
  }

  /**
   * symlink(2). Replies fuse_entry_out; fails with EPERM outside of process directories, EEXIST,
   * ENAMETOOLONG.
   */
  symlink(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const name = this.name(request);
    const target = request.target();
    refuseTarget(target);
    refuseTaken(directory, name);
    this.entry(reply, directory.symlink(name, target, request));
    return DONE;
  }

  /**
   * link(2): it puts an event into another queue as well. Replies fuse_entry_out; fails with EPERM,
   * EEXIST, ENOENT, ENAMETOOLONG.
   */
  link(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const node = this.tree.node(request.u64() as NodeId);
    const name = this.name(request);
    refuseTaken(directory, name);
    this.entry(reply, directory.link(name, node));
    return DONE;
  }

  /** rename(2). Empty reply; fails with ENOENT, EPERM, ENAMETOOLONG. */
  rename(request: Request): Outcome {
    return this.#rename(request, request.u64() as NodeId, 0);
  }

  /**
   * renameat2(2). Like rename; fails also with EEXIST, and with EINVAL for RENAME_EXCHANGE and
   * RENAME_WHITEOUT.
   */
  rename2(request: Request): Outcome {
    const to = request.u64() as NodeId;
    const flags = request.u32();
    request.skip(4);
    return this.#rename(request, to, flags);
  }

  #rename(request: Request, toId: NodeId, flags: number): Outcome {
    if ((flags & ~RenameFlag.RENAME_NOREPLACE) !== 0)
      throw new FsError(Errno.EINVAL, 'names are neither exchanged nor whited out here');
    const from = this.directory(request);
    const to = this.tree.node(toId);
    if (!(to instanceof Directory)) throw new FsError(Errno.ENOTDIR, NO_DIRECTORY);
    const name = this.name(request);
    from.rename(name, to, this.name(request), (flags & RenameFlag.RENAME_NOREPLACE) !== 0);
    return DONE;
  }

  /** setxattr(2). Empty reply; fails with EOPNOTSUPP, EPERM, EINVAL, EEXIST, ENODATA. */
  setxattr(request: Request): Outcome {
    const node = this.#node(request);
    const size = request.u32();
    const flags = request.u32();
    const name = request.name();
    const value = request.text(size);
    setXattr(node, name, value, flags, request);
    return DONE;
  }

  /**
   * getxattr(2). Replies the value, or fuse_getxattr_out for size 0; fails with ENODATA, ERANGE.
   */
  getxattr(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    const room = request.u32();
    request.skip(4);
    return sized(reply, room, node.getXattr(request.name()));
  }

  /**
   * listxattr(2). Replies the names, each ended by NUL, or fuse_getxattr_out for size 0; fails with
   * ERANGE.
   */
  listxattr(request: Request, reply: Reply): Outcome {
    const names = this.#node(request).listXattrs();
    return sized(reply, request.u32(), names.map((name) => `${name}\0`).join(''));
  }

  /** removexattr(2). Empty reply; fails with ENODATA, EPERM. */
  removexattr(request: Request): Outcome {
    this.#node(request).removeXattr(request.name(), request);
    return DONE;
  }

  /** unlink(2). Empty reply; fails with ENOENT, EPERM. */
  unlink(request: Request): Outcome {
    this.directory(request).unlink(this.name(request));
    return DONE;
  }

  /** rmdir(2). Empty reply; fails with ENOENT, ENOTEMPTY, EPERM. */
  rmdir(request: Request, _reply: Reply): Outcome {
    const directory = this.directory(request);
    directory.rmdir(this.name(request));
    return DONE;
  }

  /** open(2) of a file that exists. Replies fuse_open_out; fails with EPERM, ELOOP, EISDIR. */
  open(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    const flags = request.u32();
    const heap = node.openHeap;
    const account = this.tree.chargeOpen(node, request);
    let handle: Handle;
    try {
      handle = node.open(flags, request);
    } catch (error) {
      account.refundItem('memory', heap);
      throw error;
    }
    if (handle.isStream) this.reads.streamOpened();
    reply.opened(this.tree.enter(handle, account, heap), openFlags(handle));
    return DONE;
  }

  /**
   * open(2) with O_CREAT of a name that is free. Replies fuse_entry_out and fuse_open_out; fails
   * with EPERM, EEXIST, ENAMETOOLONG.
   */
  create(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const flags = request.u32();
    const mode = request.u32();
    request.skip(8); // umask, open_flags
    const name = this.name(request);
    refuseTaken(directory, name);
    const account = this.tree.chargeOpen(directory, request);
    let handle: Handle;
    try {
      handle = directory.create(name, mode, flags, request);
    } catch (error) {
      account.refundItem('memory', directory.openHeap);
      throw error;
    }
    const fh = this.tree.enter(handle, account, directory.openHeap);
    this.entry(reply, handle.node);
    reply.opened(fh, openFlags(handle));
    return DONE;
  }

  /**
   * read(2). Replies the bytes, or parks the read; fails with EAGAIN for O_NONBLOCK, EINTR, EINVAL.
   *
   * sendfile(2), splice(2) and page faults read into the page cache, even with FOPEN_DIRECT_IO, and
   * the page cache would serve the bytes after the owner's death. So only files that never end may
   * be read that way. For all others it fails with EINVAL, and programs fall back on read(2).
   *
   * If io_uring repeats a read for the rest, it gets end of file. If io_uring only tries a read,
   * the read does not block (tree/uring-reads.ts).
   */
  read(request: Request, reply: Reply): Outcome {
    const handle = this.#handle(request);
    const offset = request.u64();
    const size = request.u32();
    const readFlags = request.u32();
    request.skip(8); // lock_owner
    const flags = request.u32();
    const isCached = (readFlags & FUSE_READ_LOCKOWNER) === 0;
    if (isCached && (handle.isStream || handle.node.lifetime !== FOREVER))
      return reply.refuse(Errno.EINVAL, NOT_CACHED);
    const { pid } = request;
    const place = handle.isStream ? 0 : offset;
    const uring = isCached ? undefined : handle.uringThread(pid);
    if (uring?.read(place, size) === true) return DONE;
    const isLong = size >= LONG_READ_BYTES;
    // A long read by io_uring gets at most one byte less than it asks for. After a full read the
    // kernel would read the next part of the buffer, at another offset, before it asks for a rest.
    const sink = this.reads.sink(isLong && uring !== undefined ? size - 1 : size);
    const mayWait = (flags & O_NONBLOCK) === 0 && !this.reads.ending && uring?.mayWait !== false;
    if ((mayWait && this.reads.holds && handle.isFresh) || !handle.read(offset, sink)) {
      if (mayWait) {
        handle.park(this.reads.park(handle, size));
        return NO_REPLY;
      }
      if (!this.reads.ending) return reply.refuse(Errno.EAGAIN, NOTHING_YET);
    }
    sink.end();
    reply.filled(sink.copied);
    reply.sliceBytes = sink.sliced;
    const { length } = sink;
    if (length > 0 && length < size && !isCached)
      handle.gotShort(pid, place, size - length, isLong);
    return DONE;
  }

  /** write(2). Replies fuse_write_out; fails with EINVAL, EFBIG, EBADF. */
  write(request: Request, reply: Reply): Outcome {
    const handle = this.#handle(request);
    const offset = request.u64();
    const size = request.u32();
    request.skip(12); // write_flags, lock_owner
    const flags = request.u32();
    request.skip(4);
    const start = request.at;
    request.skip(size);
    const written = handle.write(
      request.bytes,
      start,
      size,
      (flags & O_APPEND) !== 0 ? APPEND : offset,
    );
    handle.node.written(request);
    reply.u32(written);
    reply.u32(0);
    return DONE;
  }

  /** close(2) of the last descriptor. Empty reply; no process waits for it. */
  release(request: Request): Outcome {
    this.tree.leave(request.u64() as FileHandle);
    return DONE;
  }

  /**
   * fsync(2), fdatasync(2). Empty reply: the daemon has no data to write back. It has a handler
   * because it fails with ESTALE after the owner's death. After ENOSYS the kernel would reply
   * success by itself (fs/fuse/file.c, fuse_fsync).
   */
  fsync(request: Request): Outcome {
    this.#handle(request);
    return DONE;
  }

  /** fsync(2) of a directory. Like fsync. */
  fsyncdir(request: Request): Outcome {
    return this.fsync(request);
  }

  /**
   * opendir(3). Replies fuse_open_out; fails with ENOTDIR. It must not fail with ENOSYS, which
   * would turn directory caching on.
   */
  opendir(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const account = this.tree.chargeOpen(directory, request);
    reply.opened(this.tree.enter(new DirectoryHandle(directory), account, directory.openHeap), 0);
    return DONE;
  }

  /** getdents64(2), lseek(2) of a directory. Replies fuse_dirents, none at the end. */
  readdir(request: Request, reply: Reply): Outcome {
    const handle = this.#handle(request);
    if (!(handle instanceof DirectoryHandle)) return reply.refuse(Errno.ENOTDIR, NO_DIRECTORY);
    const offset = request.u64();
    reply.room = Math.min(request.u32(), reply.bytes.length - Size.fuse_out_header);
    if (offset === 0) handle.end = handle.node.listingEnd;
    handle.node.list(offset, reply, handle.end);
    return DONE;
  }

  /** closedir(3). Empty reply. */
  releasedir(request: Request): Outcome {
    return this.release(request);
  }

  /**
   * statfs(2), df(1). Replies fuse_statfs_out: how much the caller may hold, and how much of that
   * is free. Bytes are shown as blocks, events as files.
   */
  statfs(request: Request, reply: Reply): Outcome {
    this.#node(request); // fstatfs(2) of a node that has ended fails with ESTALE
    const { bytes, freeBytes, events, freeEvents } = this.tree.ledger.budget(
      request.uid,
      request.gid,
    );
    const freeBlocks = Math.floor(freeBytes / STATFS_BLOCK_BYTES);
    reply.u64(Math.floor(bytes / STATFS_BLOCK_BYTES));
    reply.u64(freeBlocks); // bfree
    reply.u64(freeBlocks); // bavail
    reply.u64(events);
    reply.u64(freeEvents);
    reply.u32(STATFS_BLOCK_BYTES);
    reply.u32(NAME_MAX);
    reply.u32(STATFS_BLOCK_BYTES); // frsize
    for (let field = 0; field < 7; field++) reply.u32(0); // padding, spare
    return DONE;
  }

  /**
   * poll(2), select(2), epoll_ctl(2). Replies fuse_poll_out; the caller sees an error as POLLERR.
   */
  poll(request: Request, reply: Reply): Outcome {
    const handle = this.#handle(request);
    handle.pollKeyLow = request.u32();
    handle.pollKeyHigh = request.u32();
    const flags = request.u32();
    const isWatched = (flags & FUSE_POLL_SCHEDULE_NOTIFY) !== 0;
    const ready = handle.pollFor(request.pid, request.u32(), isWatched);
    // Also if the file is ready: an edge-triggered epoll waits for the events that come after.
    if (isWatched) handle.watch();
    reply.u32(ready);
    reply.u32(0);
    return DONE;
  }

  /**
   * The kernel sends it when a signal comes for a caller that waits. No reply; the interrupted
   * request fails with EINTR.
   */
  interrupt(request: Request): Outcome {
    this.reads.interrupt(request.u32(), request.u32());
    return NO_REPLY;
  }

  /** The last request of some mounts. This one never gets it: it ends with ENODEV instead. */
  destroy(): Outcome {
    return DONE;
  }

  #node(request: Request): Node {
    return this.tree.node(request.nodeid as NodeId);
  }

  /**
   * Returns the directory that the request names, and notes that the caller has entered it.
   * @throws FsError ENOTDIR, ESTALE
   */
  protected directory(request: Request): Directory {
    const node = this.#node(request);
    if (!(node instanceof Directory)) throw new FsError(Errno.ENOTDIR, NO_DIRECTORY);
    if (node instanceof EventDirectory) this.tree.inotify.entered(node, request.pid);
    return node;
  }

  #handle(request: Request): Handle {
    return this.tree.handle(request.u64() as FileHandle);
  }

  /**
   * Reads the next name of the request.
   * @returns bytes as characters
   * @throws FsError ENAMETOOLONG
   */
  protected name(request: Request): string {
    const name = request.name();
    refuseLong(name);
    return name;
  }

  /** Puts fuse_entry_out of a node into the reply, and counts the lookup. */
  protected entry(reply: Reply, node: Node): void {
    this.tree.remember(node);
    node.attributes(this.#attributes);
    reply.entry(node.id, this.#attributes);
  }

  #attr(reply: Reply, node: Node): void {
    node.attributes(this.#attributes);
    reply.attr(this.#attributes, node.id === FUSE_ROOT_ID ? ROOT_ATTR_VALID_SECONDS : 0);
  }
}

/**
 * Returns the flags of fuse_open_out for an open file.
 *
 * - The kernel caches only the events of `log/`: they do not change, their directory does not end,
 *   and shared mappings need the cache. A link to the same event in a process directory is another
 *   inode to the kernel, without cached pages.
 * - close(2) sends only RELEASE (FOPEN_NOFLUSH).
 * - A stream can't be seeked, and its reads don't hold the lock of the file position while they
 *   wait (FOPEN_STREAM).
 * - Writers don't wait for each other (FOPEN_PARALLEL_DIRECT_WRITES).
 */
function openFlags(handle: Handle): number {
  const { node } = handle;
  if (node instanceof EventFile && node.directory instanceof LogDirectory)
    return OpenFlag.FOPEN_NOFLUSH;
  const flags =
    OpenFlag.FOPEN_DIRECT_IO | OpenFlag.FOPEN_NOFLUSH | OpenFlag.FOPEN_PARALLEL_DIRECT_WRITES;
  return handle.isStream ? flags | OpenFlag.FOPEN_NONSEEKABLE | OpenFlag.FOPEN_STREAM : flags;
}

/**
 * Replies the value of an attribute, or only its size if the caller asks with room for 0 bytes.
 * Fails with ERANGE if the value does not fit.
 * @param room the caller's buffer in bytes
 */
function sized(reply: Reply, room: number, value: string): Outcome {
  if (room !== 0 && room < value.length)
    return reply.refuse(Errno.ERANGE, 'the caller has no room for the value');
  if (room === 0) {
    reply.u32(value.length);
    reply.u32(0);
  } else reply.text(value);
  return DONE;
}

/** Reads fuse_setattr_in. */
function readChanges(request: Request): AttributeChanges {
  const valid = request.u32();
  request.skip(12); // padding, fh
  const size = request.u64();
  request.skip(8); // lock_owner
  const atimeSec = request.i64();
  const mtimeSec = request.i64();
  request.skip(8); // ctime: the tree keeps its own
  const atimeNsec = request.u32();
  const mtimeNsec = request.u32();
  request.skip(4); // ctimensec
  const mode = request.u32();
  request.skip(4); // unused4
  const uid = request.u32();
  const gid = request.u32();
  return {
    ...((valid & Valid.FATTR_MODE) !== 0 && { mode }),
    ...((valid & Valid.FATTR_UID) !== 0 && { uid }),
    ...((valid & Valid.FATTR_GID) !== 0 && { gid }),
    ...((valid & Valid.FATTR_SIZE) !== 0 && { size }),
    ...((valid & Valid.FATTR_ATIME) !== 0 && {
      atime: time(valid & Valid.FATTR_ATIME_NOW, atimeSec, atimeNsec),
    }),
    ...((valid & Valid.FATTR_MTIME) !== 0 && {
      mtime: time(valid & Valid.FATTR_MTIME_NOW, mtimeSec, mtimeNsec),
    }),
  };
}

function time(isNow: number, sec: number, nsec: number): { sec: number; nsec: number } {
  return isNow !== 0 ? now() : { sec, nsec };
}
