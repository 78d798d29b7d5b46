/** The handlers of requests about an open directory. */
import { Errno, FsError } from '../../../shared/errors.js';
import { Size } from '../../../fuse/abi.js';
import { DONE, type Handlers } from '../../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import { Directory } from '../../../tree/nodes/directory.js';
import type { FileHandle, Handle } from '../../../tree/nodes/node.js';
import { DirectoryHandle } from '../../../tree/nodes/open-file/directory-handle.js';
import type { Tree } from '../../../tree/tree.js';
import { NOT_DIRECTORY } from '../../common/calls.js';
import { directoryOf, nodeOf } from './operands.js';

type Methods = 'opendir' | 'readdir' | 'releasedir' | 'fsyncdir';

/**
 * The number of each directory that is open without a charge: no index of the table of open files.
 * The daemon keeps nothing for it, and needs only the node id of each request.
 */
export const UNCHARGED = 2 ** 32;

/** Serves the requests about open directories. */
export class DirectoryHandlers implements Pick<Handlers, Methods> {
  constructor(private readonly tree: Tree) {}

  /**
   * opendir(3). Replies fuse_open_out; fails with ENOTDIR. It must not fail with ENOSYS, which
   * would turn directory caching on. No quota refuses it: a user whose memory is used up must be
   * able to list a directory, and to remove files.
   */
  opendir(request: Request, reply: Reply): Outcome {
    const { tree } = this;
    const directory = directoryOf(tree, request);
    const account = tree.tryChargeDirectory(directory, request);
    const fh =
      account === undefined
        ? UNCHARGED
        : tree.enter(new DirectoryHandle(directory), account, directory.openHeap);
    reply.opened(fh, 0);
    return DONE;
  }

  /**
   * getdents64(2), lseek(2) of a directory. Replies fuse_dirents, none at the end. A directory that
   * is open without a charge shows entries that come during the listing.
   */
  readdir(request: Request, reply: Reply): Outcome {
    const handle = this.#opened(request);
    if (!(handle instanceof DirectoryHandle)) return reply.refuse(Errno.ENOTDIR, NOT_DIRECTORY);
    const offset = request.u64();
    reply.room = Math.min(request.u32(), reply.bytes.length - Size.fuse_out_header);
    handle.node.list(offset, reply, handle.endFor(offset));
    return DONE;
  }

  /** closedir(3). Empty reply. */
  releasedir(request: Request): Outcome {
    const fh = request.u64();
    if (fh !== UNCHARGED) this.tree.leave(fh as FileHandle);
    return DONE;
  }

  /** fsync(2) of a directory. Like fsync. */
  fsyncdir(request: Request): Outcome {
    this.#opened(request);
    return DONE;
  }

  /**
   * Reads the handle that comes next in the request. A directory that is open without a charge gets
   * a new one for each request.
   */
  #opened(request: Request): Handle {
    const fh = request.u64();
    if (fh !== UNCHARGED) return this.tree.handle(fh as FileHandle);
    const node = nodeOf(this.tree, request);
    if (!(node instanceof Directory)) throw new FsError(Errno.ENOTDIR, NOT_DIRECTORY);
    return new DirectoryHandle(node);
  }
}
