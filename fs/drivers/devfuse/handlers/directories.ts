/** The handlers of requests about an open directory. */
import { Errno } from '../../../shared/errors.js';
import { Size } from '../../../fuse/abi.js';
import { DONE, type Handlers } from '../../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import type { FileHandle } from '../../../tree/nodes/node.js';
import { DirectoryHandle } from '../../../tree/nodes/open-file/directory-handle.js';
import type { Tree } from '../../../tree/tree.js';
import { NOT_DIRECTORY } from '../../common/calls.js';
import { directoryOf, handleOf } from './operands.js';

type Methods = 'opendir' | 'readdir' | 'releasedir' | 'fsyncdir';

/** Serves the requests about open directories. */
export class DirectoryHandlers implements Pick<Handlers, Methods> {
  constructor(private readonly tree: Tree) {}

  /**
   * opendir(3). Replies fuse_open_out; fails with ENOTDIR. It must not fail with ENOSYS, which
   * would turn directory caching on.
   */
  opendir(request: Request, reply: Reply): Outcome {
    const directory = directoryOf(this.tree, request);
    const account = this.tree.chargeOpen(directory, request);
    reply.opened(this.tree.enter(new DirectoryHandle(directory), account, directory.openHeap), 0);
    return DONE;
  }

  /** getdents64(2), lseek(2) of a directory. Replies fuse_dirents, none at the end. */
  readdir(request: Request, reply: Reply): Outcome {
    const handle = handleOf(this.tree, request);
    if (!(handle instanceof DirectoryHandle)) return reply.refuse(Errno.ENOTDIR, NOT_DIRECTORY);
    const offset = request.u64();
    reply.room = Math.min(request.u32(), reply.bytes.length - Size.fuse_out_header);
    handle.node.list(offset, reply, handle.endFor(offset));
    return DONE;
  }

  /** closedir(3). Empty reply. */
  releasedir(request: Request): Outcome {
    this.tree.leave(request.u64() as FileHandle);
    return DONE;
  }

  /** fsync(2) of a directory. Like fsync. */
  fsyncdir(request: Request): Outcome {
    handleOf(this.tree, request);
    return DONE;
  }
}
