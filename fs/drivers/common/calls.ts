/**
 * Checks and constants that both drivers share. The kernel expects the same errors from either, so
 * a driver checks a call here before it calls the tree.
 */
import { Errno, FsError } from '../../shared/errors.js';
import { NAME_MAX } from '../../shared/kernel/name-max.js';
import { XattrFlag } from '../../fuse/abi.js';
import type { Caller } from '../../owners/owners.js';
import { type Directory, RESERVED } from '../../tree/nodes/directory.js';
import type { Node } from '../../tree/nodes/node.js';

/** The longest path, in bytes, including its NUL. */
const PATH_MAX = 4096;
/**
 * The block size in bytes that statfs(2) reports. An event has a few hundred bytes: in units of a
 * page, df(1) would not show what is used.
 */
export const STATFS_BLOCK_BYTES = 512;

/** The reason of ENAMETOOLONG. */
export const NAME_TOO_LONG = 'a name has at most 255 bytes';
/** The reason of ENOTDIR. */
export const NOT_DIRECTORY = 'not a directory';
/** The reason that goes with EAGAIN, for a read that would wait. */
export const NO_EVENT_YET = 'no event to read yet, and the read must not block (O_NONBLOCK)';
/** The reason of ERANGE. */
export const VALUE_TOO_LONG = "the value does not fit the caller's buffer";

/**
 * Checks the length of a name.
 * @param name bytes as characters
 * @throws FsError ENAMETOOLONG
 */
export function refuseLong(name: string): void {
  if (name.length > NAME_MAX) throw new FsError(Errno.ENAMETOOLONG, NAME_TOO_LONG);
}

/**
 * Checks that a name is free, for create, mknod, symlink and link. The kernel has looked it up
 * before, but another process may have taken the name since, and no lookup finds a reserved one.
 * @param name bytes as characters
 * @throws FsError EEXIST
 */
export function refuseTaken(directory: Directory, name: string): void {
  if (directory.isReserved(name)) throw new FsError(Errno.EEXIST, RESERVED);
  if (directory.lookup(name) !== undefined)
    throw new FsError(Errno.EEXIST, 'the name exists already');
}

/**
 * Checks the target of symlink(2). The kernel has checked it before.
 * @param target bytes as characters
 * @throws FsError ENOENT if the target is empty, ENAMETOOLONG if it is longer than a path
 */
export function refuseTarget(target: string): void {
  if (target === '') throw new FsError(Errno.ENOENT, 'the target is empty');
  if (target.length >= PATH_MAX)
    throw new FsError(Errno.ENAMETOOLONG, `a target has at most ${PATH_MAX - 1} bytes`);
}

/**
 * Checks the flags of setxattr(2), then sets the extended attribute.
 * @param name bytes as characters
 * @param value bytes as characters
 * @param flags XATTR_CREATE, XATTR_REPLACE, or 0
 * @throws FsError EEXIST (XATTR_CREATE), ENODATA (XATTR_REPLACE), or an errno of the node
 */
export function setXattr(
  node: Node,
  name: string,
  value: string,
  flags: number,
  caller: Caller,
): void {
  const there = node.listXattrs().includes(name);
  if ((flags & XattrFlag.XATTR_CREATE) !== 0 && there)
    throw new FsError(Errno.EEXIST, 'the attribute exists already (XATTR_CREATE)');
  if ((flags & XattrFlag.XATTR_REPLACE) !== 0 && !there)
    throw new FsError(Errno.ENODATA, 'the attribute does not exist (XATTR_REPLACE)');
  node.setXattr(name, value, caller);
}
