/**
 * The kernel's requests, done on the tree. Each comment says which system call sends it, what the reply is, and which
 * errors it gives beyond the two that all can: ESTALE when the node or handle has ended, EIO for a malformed request.
 *
 * A reply is built last: until then its memory may serve those who are woken on the way.
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
import {
  APPEND,
  type AttributeChanges,
  Directory,
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

/** Only the root's attributes may be remembered: nobody's death changes them for the worse. */
const ROOT_ATTR_VALID_SECONDS = 1;

/** Why requests are refused that may come often. */
const NO_DIRECTORY = 'it is no directory';
const NOT_CACHED =
  'what can end is not read into the page cache (sendfile, splice, mmap): read(2) it';
const NOTHING_YET = 'no event has come yet, and the caller does not wait (O_NONBLOCK)';

/** What the handlers need of the driver. */
export interface Reads {
  /** Where the bytes of a read of at most `size` go. */
  sink(size: number): ReplySink;
  /** The read that is being served waits. EAGAIN when too many do. */
  park(handle: Handle, size: number): ParkedRead;
  /** The parked read with that `unique` has been interrupted. */
  interrupt(uniqueLow: number, uniqueHigh: number): void;
  /** A stream has been opened, and its reads may wait. */
  streamOpened(): void;
  /** Whether events have come of which those who wait will be told soon. */
  readonly holds: boolean;
  /** Whether the daemon is going: then nobody waits any more, and a stream is at its end. */
  readonly ending: boolean;
}

/** An open directory. */
class DirectoryHandle extends Handle {
  /** Where its listing ends, since it began: at opendir(3), or anew at rewinddir(3). */
  end: number;

  constructor(override readonly node: Directory) {
    super(node);
    this.end = node.listingEnd;
  }
}

export class TreeHandlers implements Handlers {
  readonly #attributes = emptyAttributes();

  constructor(
    protected readonly tree: Tree,
    private readonly reads: Reads,
  ) {}

  /** Every path walk, for each part of it. fuse_entry_out; ENOENT, ENAMETOOLONG, ENOTDIR. */
  lookup(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const name = request.name();
    if (name.length > NAME_MAX) return reply.refuse(Errno.ENAMETOOLONG, NAME_TOO_LONG);
    const node = directory.lookup(name, request);
    if (node === undefined) return reply.refuse(Errno.ENOENT, NOT_FOUND);
    this.entry(reply, node);
    return DONE;
  }

  /** The kernel drops an inode. No reply. */
  forget(request: Request): Outcome {
    this.tree.forget(request.nodeid as NodeId, request.u64());
    return NO_REPLY;
  }

  /** The kernel drops many inodes. No reply. */
  batchForget(request: Request): Outcome {
    const count = request.u32();
    request.skip(4);
    for (let i = 0; i < count; i++) this.tree.forget(request.u64() as NodeId, request.u64());
    return NO_REPLY;
  }

  /** stat(2), fstat(2), and the permission check of every path walk and of inotify_add_watch(2). fuse_attr_out. */
  getattr(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    if (node instanceof EventDirectory) this.tree.inotify.onGetattr(node, request.pid);
    this.#attr(reply, node);
    return DONE;
  }

  /** chmod(2), chown(2), utimensat(2), truncate(2). fuse_attr_out; EPERM, EINVAL, EFBIG. */
  setattr(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    node.change(readChanges(request));
    this.#attr(reply, node);
    return DONE;
  }

  /** readlink(2), and every path walk through a symlink. The target; EINVAL, ENOENT. */
  readlink(request: Request, reply: Reply): Outcome {
    reply.text(this.#node(request).readlink());
    return DONE;
  }

  /** mkdir(2). fuse_entry_out; EEXIST, EPERM, ESRCH, ENAMETOOLONG, ENFILE. */
  mkdir(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const mode = request.u32();
    request.skip(4); // umask: applied by the kernel already
    this.entry(reply, directory.mkdir(this.name(request), mode, request));
    return DONE;
  }

  /** mknod(2), mkfifo(3), bind(2) of a Unix socket. fuse_entry_out; EPERM for devices, EEXIST, ENAMETOOLONG. */
  mknod(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const mode = request.u32();
    request.skip(12); // rdev, umask, padding
    const name = this.name(request);
    refuseTaken(directory, name);
    this.entry(reply, directory.mknod(name, mode, request));
    return DONE;
  }

  /** symlink(2). fuse_entry_out; EPERM but in a process directory, EEXIST, ENAMETOOLONG. */
  symlink(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const name = this.name(request);
    const target = request.target();
    refuseTarget(target);
    refuseTaken(directory, name);
    this.entry(reply, directory.symlink(name, target, request));
    return DONE;
  }

  /** link(2): the multicast. fuse_entry_out; EPERM, EEXIST, ENOENT, ENAMETOOLONG. */
  link(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const node = this.tree.node(request.u64() as NodeId);
    const name = this.name(request);
    refuseTaken(directory, name);
    this.entry(reply, directory.link(name, node));
    return DONE;
  }

  /** rename(2). No more than success; ENOENT, EPERM, ENAMETOOLONG. */
  rename(request: Request): Outcome {
    return this.#rename(request, request.u64() as NodeId, 0);
  }

  /** renameat2(2). As rename; EEXIST, and EINVAL for RENAME_EXCHANGE and RENAME_WHITEOUT. */
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

  /** setxattr(2). No more than success; EOPNOTSUPP, EPERM, EINVAL, EEXIST, ENODATA. */
  setxattr(request: Request): Outcome {
    const node = this.#node(request);
    const size = request.u32();
    const flags = request.u32();
    const name = request.name();
    const value = request.text(size);
    setXattr(node, name, value, flags, request);
    return DONE;
  }

  /** getxattr(2). The value, or with size 0 fuse_getxattr_out; ENODATA, ERANGE. */
  getxattr(request: Request, reply: Reply): Outcome {
    const node = this.#node(request);
    const room = request.u32();
    request.skip(4);
    return sized(reply, room, node.getXattr(request.name()));
  }

  /** listxattr(2). Names, each ended by NUL, or with size 0 fuse_getxattr_out; ERANGE. */
  listxattr(request: Request, reply: Reply): Outcome {
    const names = this.#node(request).listXattrs();
    return sized(reply, request.u32(), names.map((name) => `${name}\0`).join(''));
  }

  /** removexattr(2). No more than success; ENODATA, EPERM. */
  removexattr(request: Request): Outcome {
    this.#node(request).removeXattr(request.name(), request);
    return DONE;
  }

  /** unlink(2). No more than success; ENOENT, EPERM. */
  unlink(request: Request): Outcome {
    this.directory(request).unlink(this.name(request));
    return DONE;
  }

  /** rmdir(2). No more than success; ENOENT, ENOTEMPTY, EPERM. */
  rmdir(request: Request, _reply: Reply): Outcome {
    const directory = this.directory(request);
    directory.rmdir(this.name(request));
    return DONE;
  }

  /** open(2) of what is there. fuse_open_out; EPERM, ELOOP, EISDIR. */
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

  /** open(2) with O_CREAT of a name that is free. fuse_entry_out and fuse_open_out; EPERM, EEXIST, ENAMETOOLONG. */
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
   * read(2). The bytes, or none yet; EAGAIN with O_NONBLOCK, EINTR, EINVAL.
   *
   * sendfile(2), splice(2) and page faults read into the page cache, whatever FOPEN_DIRECT_IO says, and it would answer for
   * a dead owner. Only what never ends may be read that way; the others are told EINVAL, after which programs read(2).
   *
   * A read that io_uring makes again gets the end of the file, and one that it only tries does not
   * wait (tree/uring-reads.ts).
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
    // A long read of io_uring's lacks one byte: a full one is followed by the next part of the buffer,
    // at another offset, before the kernel asks for a rest
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

  /** write(2). fuse_write_out; EINVAL, EFBIG, EBADF. */
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

  /** close(2) of the last descriptor; nobody waits for it. */
  release(request: Request): Outcome {
    this.tree.leave(request.u64() as FileHandle);
    return DONE;
  }

  /**
   * fsync(2), fdatasync(2). No more than success: nothing is written behind. ESTALE after the owner's death, which
   * is why it has a handler: after ENOSYS the kernel would answer by itself (fs/fuse/file.c, fuse_fsync).
   */
  fsync(request: Request): Outcome {
    this.#handle(request);
    return DONE;
  }

  /** fsync(2) of a directory. As fsync. */
  fsyncdir(request: Request): Outcome {
    return this.fsync(request);
  }

  /** opendir(3). fuse_open_out; ENOTDIR. Never ENOSYS: that would turn directory caching on. */
  opendir(request: Request, reply: Reply): Outcome {
    const directory = this.directory(request);
    const account = this.tree.chargeOpen(directory, request);
    reply.opened(this.tree.enter(new DirectoryHandle(directory), account, directory.openHeap), 0);
    return DONE;
  }

  /** getdents64(2), lseek(2) of a directory. fuse_dirents, none at the end. */
  readdir(request: Request, reply: Reply): Outcome {
    const handle = this.#handle(request);
    if (!(handle instanceof DirectoryHandle)) return reply.refuse(Errno.ENOTDIR, NO_DIRECTORY);
    const offset = request.u64();
    reply.room = Math.min(request.u32(), reply.bytes.length - Size.fuse_out_header);
    if (offset === 0) handle.end = handle.node.listingEnd;
    handle.node.list(offset, reply, handle.end);
    return DONE;
  }

  /** closedir(3). */
  releasedir(request: Request): Outcome {
    return this.release(request);
  }

  /** statfs(2), df(1). fuse_statfs_out: what the caller may hold and what is left of it; its bytes are blocks, its events files. */
  statfs(request: Request, reply: Reply): Outcome {
    this.#node(request); // fstatfs(2) of what has ended is ESTALE
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

  /** poll(2), select(2), epoll_ctl(2). fuse_poll_out; an error shows as POLLERR. */
  poll(request: Request, reply: Reply): Outcome {
    const handle = this.#handle(request);
    handle.pollKeyLow = request.u32();
    handle.pollKeyHigh = request.u32();
    const flags = request.u32();
    const isWatched = (flags & FUSE_POLL_SCHEDULE_NOTIFY) !== 0;
    const ready = handle.pollFor(request.pid, request.u32(), isWatched);
    // Also when it is ready: an edge-triggered epoll wants to hear of what comes on top.
    if (isWatched) handle.watch();
    reply.u32(ready);
    reply.u32(0);
    return DONE;
  }

  /** A signal for a caller that waits. No reply but to the request it is about, EINTR. */
  interrupt(request: Request): Outcome {
    this.reads.interrupt(request.u32(), request.u32());
    return NO_REPLY;
  }

  /** The last thing some mounts hear; ours end with ENODEV instead. */
  destroy(): Outcome {
    return DONE;
  }

  #node(request: Request): Node {
    return this.tree.node(request.nodeid as NodeId);
  }

  protected directory(request: Request): Directory {
    const node = this.#node(request);
    if (!(node instanceof Directory)) throw new FsError(Errno.ENOTDIR, NO_DIRECTORY);
    if (node instanceof EventDirectory) this.tree.inotify.entered(node, request.pid);
    return node;
  }

  #handle(request: Request): Handle {
    return this.tree.handle(request.u64() as FileHandle);
  }

  protected name(request: Request): string {
    const name = request.name();
    refuseLong(name);
    return name;
  }

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
 * Nothing is cached but the events of `log/`, which do not change and whose directory does not end: shared mappings need that.
 * A link to the same event in a process directory is another inode to the kernel, with no pages. Closing sends nothing but RELEASE. A stream is not seeked, and its reads don't hold the file
 * position's lock while they wait (FOPEN_STREAM). Writers don't wait for each other.
 */
function openFlags(handle: Handle): number {
  const { node } = handle;
  if (node instanceof EventFile && node.directory instanceof LogDirectory)
    return OpenFlag.FOPEN_NOFLUSH;
  const flags =
    OpenFlag.FOPEN_DIRECT_IO | OpenFlag.FOPEN_NOFLUSH | OpenFlag.FOPEN_PARALLEL_DIRECT_WRITES;
  return handle.isStream ? flags | OpenFlag.FOPEN_NONSEEKABLE | OpenFlag.FOPEN_STREAM : flags;
}

/** An attribute's value for a caller that has `room` for it, or its size for one that asks with none. */
function sized(reply: Reply, room: number, value: string): Outcome {
  if (room !== 0 && room < value.length)
    return reply.refuse(Errno.ERANGE, 'the caller has no room for the value');
  if (room === 0) {
    reply.u32(value.length);
    reply.u32(0);
  } else reply.text(value);
  return DONE;
}

/** fuse_setattr_in. */
function readChanges(request: Request): AttributeChanges {
  const valid = request.u32();
  request.skip(12); // padding, fh
  const size = request.u64();
  request.skip(8); // lock_owner
  const atimeSec = request.i64();
  const mtimeSec = request.i64();
  request.skip(8); // ctime: the tree's own
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
