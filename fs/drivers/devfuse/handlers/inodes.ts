/**
 * The handlers of requests about one inode: its attributes, its extended attributes, the target of
 * a symlink, and the space of the filesystem.
 */
import { Errno } from '../../../shared/errors.js';
import { type Timestamp, now } from '../../../shared/timestamp.js';
import { SetattrValid as Valid } from '../../../fuse/abi.js';
import { DONE, type Handlers } from '../../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import { EventDirectory } from '../../../tree/nodes/event-directory.js';
import type { AttributeChanges } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';
import { STATFS_BLOCK_BYTES, VALUE_TOO_LONG, setXattr } from '../../common/calls.js';
import { NAME_MAX } from '../../../shared/kernel/name-max.js';
import { nodeOf, replyAttributes } from './operands.js';

type Methods =
  | 'getattr'
  | 'setattr'
  | 'readlink'
  | 'setxattr'
  | 'getxattr'
  | 'listxattr'
  | 'removexattr'
  | 'statfs';

/** Serves the requests about one inode. */
export class InodeHandlers implements Pick<Handlers, Methods> {
  constructor(private readonly tree: Tree) {}

  /**
   * stat(2), fstat(2), and the permission check of every path walk and of inotify_add_watch(2).
   * Replies fuse_attr_out.
   */
  getattr(request: Request, reply: Reply): Outcome {
    const node = nodeOf(this.tree, request);
    if (node instanceof EventDirectory) this.tree.inotify.onGetattr(node, request.pid);
    replyAttributes(reply, node);
    return DONE;
  }

  /**
   * chmod(2), chown(2), utimensat(2), truncate(2). Replies fuse_attr_out; fails with EPERM, EINVAL,
   * EFBIG.
   */
  setattr(request: Request, reply: Reply): Outcome {
    const node = nodeOf(this.tree, request);
    node.change(readChanges(request));
    replyAttributes(reply, node);
    return DONE;
  }

  /**
   * readlink(2), and every path walk through a symlink. Replies the target; fails with EINVAL,
   * ENOENT.
   */
  readlink(request: Request, reply: Reply): Outcome {
    reply.text(nodeOf(this.tree, request).readlink());
    return DONE;
  }

  /** setxattr(2). Empty reply; fails with EOPNOTSUPP, EPERM, EINVAL, EEXIST, ENODATA. */
  setxattr(request: Request): Outcome {
    const node = nodeOf(this.tree, request);
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
    const node = nodeOf(this.tree, request);
    const room = request.u32();
    request.skip(4);
    return sized(reply, room, node.getXattr(request.name()));
  }

  /**
   * listxattr(2). Replies the names, each ended by NUL, or fuse_getxattr_out for size 0; fails with
   * ERANGE.
   */
  listxattr(request: Request, reply: Reply): Outcome {
    const names = nodeOf(this.tree, request).listXattrs();
    return sized(reply, request.u32(), names.map((name) => `${name}\0`).join(''));
  }

  /** removexattr(2). Empty reply; fails with ENODATA, EPERM. */
  removexattr(request: Request): Outcome {
    nodeOf(this.tree, request).removeXattr(request.name(), request);
    return DONE;
  }

  /**
   * statfs(2), df(1). Replies fuse_statfs_out: how much the caller may hold, and how much of that
   * is free. Bytes are shown as blocks, events as files.
   */
  statfs(request: Request, reply: Reply): Outcome {
    nodeOf(this.tree, request); // fstatfs(2) of a node that has ended fails with ESTALE
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
}

/**
 * Replies the value of an attribute, or only its size if the caller asks with room for 0 bytes.
 * Fails with ERANGE if the value does not fit.
 * @param room the caller's buffer in bytes
 */
function sized(reply: Reply, room: number, value: string): Outcome {
  if (room !== 0 && room < value.length) return reply.refuse(Errno.ERANGE, VALUE_TOO_LONG);
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

function time(isNow: number, sec: number, nsec: number): Timestamp {
  return isNow !== 0 ? now() : { sec, nsec };
}
