/** What the kernel expects of a call however it comes in, checked the same by every driver before the tree is asked. */
import { Errno, FsError } from '../../shared/errors.js';
import { XattrFlag } from '../../fuse/abi.js';
import type { Caller } from '../../owners/owners.js';
import type { Directory, Node } from '../../tree/nodes/node.js';

/** The most bytes that a name has (statfs(2)). */
export const NAME_MAX = 255;
/** A path's most bytes, its NUL included. */
const PATH_MAX = 4096;
/** Events have a few hundred bytes: in pages nobody would see what is used. */
export const STATFS_BLOCK_BYTES = 512;

export const NAME_TOO_LONG = 'a name has at most 255 bytes';

/** ENAMETOOLONG. */
export function refuseLong(name: string): void {
  if (name.length > NAME_MAX) throw new FsError(Errno.ENAMETOOLONG, NAME_TOO_LONG);
}

/** create, mknod, symlink, link: EEXIST. The kernel has looked before; others may be quicker. */
export function refuseTaken(directory: Directory, name: string): void {
  if (directory.lookup(name) !== undefined) throw new FsError(Errno.EEXIST, 'the name is taken');
}

/** symlink(2): ENAMETOOLONG, and ENOENT for an empty target. The kernel has looked before. */
export function refuseTarget(target: string): void {
  if (target === '') throw new FsError(Errno.ENOENT, 'the target is empty');
  if (target.length >= PATH_MAX)
    throw new FsError(Errno.ENAMETOOLONG, 'the target is longer than a path may be');
}

/** setxattr(2) with its flags: EEXIST, ENODATA, and what the node says. */
export function setXattr(
  node: Node,
  name: string,
  value: string,
  flags: number,
  caller: Caller,
): void {
  const there = node.listXattrs().includes(name);
  if ((flags & XattrFlag.XATTR_CREATE) !== 0 && there)
    throw new FsError(Errno.EEXIST, 'the attribute is set already (XATTR_CREATE)');
  if ((flags & XattrFlag.XATTR_REPLACE) !== 0 && !there)
    throw new FsError(Errno.ENODATA, 'the attribute is not set yet (XATTR_REPLACE)');
  node.setXattr(name, value, caller);
}
