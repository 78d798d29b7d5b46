/** The handlers of requests about an open file. */
import { Errno } from '../../../shared/errors.js';
import { O_APPEND, O_NONBLOCK } from '../../../shared/open-flags.js';
import { FUSE_POLL_SCHEDULE_NOTIFY, FUSE_READ_LOCKOWNER, OpenFlag } from '../../../fuse/abi.js';
import { DONE, type Handlers, NO_REPLY } from '../../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import { LONG_READ_BYTES, streamReadBytes } from '../../../fuse/sizes.js';
import { EventFile } from '../../../tree/nodes/event-file.js';
import { LogDirectory } from '../../../tree/nodes/log-directory.js';
import { APPEND, FOREVER, type FileHandle, type Handle } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';
import { NO_EVENT_YET, refuseTaken } from '../../common/calls.js';
import { directoryOf, handleOf, nameOf, nodeOf, replyEntry } from './operands.js';
import type { Reads } from './reads.js';

type Methods = 'open' | 'create' | 'read' | 'write' | 'release' | 'fsync' | 'poll';

const NOT_CACHED =
  'a file that can end has no page cache: use read(2), not sendfile, splice or mmap';

/** Serves the requests about open files. */
export class FileHandlers implements Pick<Handlers, Methods> {
  constructor(
    private readonly tree: Tree,
    private readonly reads: Reads,
  ) {}

  /** open(2) of a file that exists. Replies fuse_open_out; fails with EPERM, ELOOP, EISDIR. */
  open(request: Request, reply: Reply): Outcome {
    const node = nodeOf(this.tree, request);
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
    const directory = directoryOf(this.tree, request);
    const flags = request.u32();
    const mode = request.u32();
    request.skip(8); // umask, open_flags
    const name = nameOf(request);
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
    replyEntry(this.tree, reply, handle.node);
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
    const handle = handleOf(this.tree, request);
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
    // A long read by io_uring is not filled either, whatever the file: the kernel would read the
    // next part of the buffer then, at another offset, before it asks for a rest.
    const isStreamed = handle.isStream || uring !== undefined;
    const sink = this.reads.sink(isStreamed ? streamReadBytes(size) : size);
    const mayWait = (flags & O_NONBLOCK) === 0 && !this.reads.ending && uring?.mayWait !== false;
    if ((mayWait && this.#mustWait(handle)) || !handle.read(offset, sink)) {
      if (mayWait) {
        handle.park(this.reads.park(handle, size));
        return NO_REPLY;
      }
      if (!this.reads.ending) return reply.refuse(Errno.EAGAIN, NO_EVENT_YET);
    }
    sink.end();
    reply.filled(sink.copied);
    reply.sliceBytes = sink.sliced;
    const { length } = sink;
    if (length > 0 && length < size && !isCached)
      handle.gotShort(pid, place, size - length, isLong);
    return DONE;
  }

  /** Returns whether a read of a file waits even if there are events for it. */
  #mustWait(handle: Handle): boolean {
    const { reads } = this;
    return reads.parksAll ? handle.mayBlock : reads.holds && handle.isFresh;
  }

  /** write(2). Replies fuse_write_out; fails with EINVAL, EFBIG, EBADF. */
  write(request: Request, reply: Reply): Outcome {
    const handle = handleOf(this.tree, request);
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
    handleOf(this.tree, request);
    return DONE;
  }

  /**
   * poll(2), select(2), epoll_ctl(2). Replies fuse_poll_out; the caller sees an error as POLLERR.
   */
  poll(request: Request, reply: Reply): Outcome {
    const handle = handleOf(this.tree, request);
    handle.polledBy(request.u32(), request.u32());
    const flags = request.u32();
    const isWatched = (flags & FUSE_POLL_SCHEDULE_NOTIFY) !== 0;
    const ready = handle.pollFor(request.pid, request.u32(), isWatched);
    // Also if the file is ready: an edge-triggered epoll waits for the events that come after.
    if (isWatched) handle.watch();
    reply.u32(ready);
    reply.u32(0);
    return DONE;
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
