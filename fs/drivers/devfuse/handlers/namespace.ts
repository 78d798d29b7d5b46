/** The handlers of requests about names: finding, making, moving and removing them. */
import { Errno, FsError, NOT_FOUND } from '../../../shared/errors.js';
import { RenameFlag } from '../../../fuse/abi.js';
import { DONE, type Handlers } from '../../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import type { NodeId } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';
import { NAME_TOO_LONG, NOT_DIRECTORY, refuseTaken, refuseTarget } from '../../common/calls.js';
import { NAME_MAX } from '../../../shared/kernel/name-max.js';
import { directoryOf, nameOf, replyEntry } from './operands.js';
import { Directory } from '../../../tree/nodes/directory.js';

type Methods =
  'lookup' | 'mkdir' | 'mknod' | 'symlink' | 'link' | 'rename' | 'rename2' | 'unlink' | 'rmdir';

/** Serves the requests about names. */
export class NamespaceHandlers implements Pick<Handlers, Methods> {
  constructor(private readonly tree: Tree) {}

  /**
   * Every path walk sends it, for each component. Replies fuse_entry_out; fails with ENOENT,
   * ENAMETOOLONG, ENOTDIR.
   */
  lookup(request: Request, reply: Reply): Outcome {
    const directory = directoryOf(this.tree, request);
    const name = request.name();
    if (name.length > NAME_MAX) return reply.refuse(Errno.ENAMETOOLONG, NAME_TOO_LONG);
    const node = directory.lookup(name, request);
    if (node === undefined) return reply.refuse(Errno.ENOENT, NOT_FOUND);
    replyEntry(this.tree, reply, node);
    return DONE;
  }

  /** mkdir(2). Replies fuse_entry_out; fails with EEXIST, EPERM, ESRCH, ENAMETOOLONG, ENFILE. */
  mkdir(request: Request, reply: Reply): Outcome {
    const directory = directoryOf(this.tree, request);
    const mode = request.u32();
    request.skip(4); // umask: the kernel has applied it already
    replyEntry(this.tree, reply, directory.mkdir(nameOf(request), mode, request));
    return DONE;
  }

  /**
   * mknod(2), mkfifo(3), bind(2) of a Unix socket. Replies fuse_entry_out; fails with EPERM for
   * devices, EEXIST, ENAMETOOLONG.
   */
  mknod(request: Request, reply: Reply): Outcome {
    const directory = directoryOf(this.tree, request);
    const mode = request.u32();
    request.skip(12); // rdev, umask, padding
    const name = nameOf(request);
    refuseTaken(directory, name);
    replyEntry(this.tree, reply, directory.mknod(name, mode, request));
    return DONE;
  }

  /**
   * symlink(2). Replies fuse_entry_out; fails with EPERM outside of process directories, EEXIST,
   * ENAMETOOLONG.
   */
  symlink(request: Request, reply: Reply): Outcome {
    const directory = directoryOf(this.tree, request);
    const name = nameOf(request);
    const target = request.target();
    refuseTarget(target);
    refuseTaken(directory, name);
    replyEntry(this.tree, reply, directory.symlink(name, target, request));
    return DONE;
  }

  /**
   * link(2): it puts an event into another queue as well. Replies fuse_entry_out; fails with EPERM,
   * EEXIST, ENOENT, ENAMETOOLONG.
   */
  link(request: Request, reply: Reply): Outcome {
    const directory = directoryOf(this.tree, request);
    const node = this.tree.node(request.u64() as NodeId);
    const name = nameOf(request);
    refuseTaken(directory, name);
    replyEntry(this.tree, reply, directory.link(name, node));
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
      throw new FsError(Errno.EINVAL, 'RENAME_EXCHANGE and RENAME_WHITEOUT are not supported');
    const from = directoryOf(this.tree, request);
    const to = this.tree.node(toId);
    if (!(to instanceof Directory)) throw new FsError(Errno.ENOTDIR, NOT_DIRECTORY);
    const name = nameOf(request);
    from.rename(name, to, nameOf(request), (flags & RenameFlag.RENAME_NOREPLACE) !== 0);
    return DONE;
  }

  /** unlink(2). Empty reply; fails with ENOENT, EPERM. */
  unlink(request: Request): Outcome {
    directoryOf(this.tree, request).unlink(nameOf(request));
    return DONE;
  }

  /** rmdir(2). Empty reply; fails with ENOENT, ENOTEMPTY, EPERM. */
  rmdir(request: Request): Outcome {
    const directory = directoryOf(this.tree, request);
    directory.rmdir(nameOf(request), request);
    return DONE;
  }
}
