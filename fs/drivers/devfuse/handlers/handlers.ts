/**
 * The handlers of the kernel's requests. The comment of each names the system call that causes the
 * request, the reply, and the errors. All can also fail with ESTALE, if the node or handle has
 * ended, and with EIO, for a malformed request.
 *
 * A handler builds its reply last. Until then, an answer to parked reads may use the same memory.
 */
import type { Handlers } from '../../../fuse/opcodes.js';
import type { Tree } from '../../../tree/tree.js';
import { ConnectionHandlers } from './connection.js';
import { DirectoryHandlers } from './directories.js';
import { FileHandlers } from './files.js';
import { InodeHandlers } from './inodes.js';
import { NamespaceHandlers } from './namespace.js';
import type { Reads } from './reads.js';

/** Returns the handlers of the requests of all processes but the notifier. */
export function treeHandlers(tree: Tree, reads: Reads): Handlers {
  const names = new NamespaceHandlers(tree);
  const inodes = new InodeHandlers(tree);
  const files = new FileHandlers(tree, reads);
  const directories = new DirectoryHandlers(tree);
  const connection = new ConnectionHandlers(tree, reads);
  return {
    lookup: names.lookup.bind(names),
    mkdir: names.mkdir.bind(names),
    mknod: names.mknod.bind(names),
    symlink: names.symlink.bind(names),
    link: names.link.bind(names),
    rename: names.rename.bind(names),
    rename2: names.rename2.bind(names),
    unlink: names.unlink.bind(names),
    rmdir: names.rmdir.bind(names),
    getattr: inodes.getattr.bind(inodes),
    setattr: inodes.setattr.bind(inodes),
    readlink: inodes.readlink.bind(inodes),
    setxattr: inodes.setxattr.bind(inodes),
    getxattr: inodes.getxattr.bind(inodes),
    listxattr: inodes.listxattr.bind(inodes),
    removexattr: inodes.removexattr.bind(inodes),
    statfs: inodes.statfs.bind(inodes),
    open: files.open.bind(files),
    create: files.create.bind(files),
    read: files.read.bind(files),
    write: files.write.bind(files),
    release: files.release.bind(files),
    fsync: files.fsync.bind(files),
    poll: files.poll.bind(files),
    opendir: directories.opendir.bind(directories),
    readdir: directories.readdir.bind(directories),
    releasedir: directories.releasedir.bind(directories),
    fsyncdir: directories.fsyncdir.bind(directories),
    forget: connection.forget.bind(connection),
    batchForget: connection.batchForget.bind(connection),
    interrupt: connection.interrupt.bind(connection),
    destroy: connection.destroy.bind(connection),
  };
}
