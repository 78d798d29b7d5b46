/**
 * The operations of the tree by path, as libfuse's high-level interface calls them: without node
 * ids and without a caller. Each comment names the system call that causes the call, and the errors
 * that the call throws as an FsError.
 *
 * fuse-native does not pass the caller on. So a new file belongs to its directory's user, not to
 * the process that makes it. The kernel checks permissions before (default_permissions).
 */
import { Errno, FsError } from '../../shared/errors.js';
import type { Timestamp } from '../../shared/timestamp.js';
import type { AttributeChanges, Attributes, FileHandle } from '../../tree/nodes/node.js';
import { PublishFile } from '../../tree/nodes/publish-file.js';
import { RootDirectory } from '../../tree/nodes/root-directory.js';
import type { Tree } from '../../tree/tree.js';
import { STATFS_BLOCK_BYTES, refuseTarget, setXattr } from '../common/calls.js';
import { NAME_MAX } from '../../shared/kernel/name-max.js';
import { O_RDWR } from '../../shared/open-flags.js';
import { attributesOf, ownerOf, writerOf } from './attributes.js';
import { type HiddenFiles, isHiddenName } from './paths/hidden-files.js';
import { callerOf } from './lock-waits.js';
import type { OpenFiles } from './open-files.js';
import { Paths } from './paths/paths.js';
import { toBytes, toUtf8 } from './values.js';
import type { Listing } from '../../tree/nodes/directory.js';

/** An id that chown(2) leaves as it is. */
const UNCHANGED = 0xffffffff;
/** The most blocks that statfs(2) can report: fuse-native has 32 bits for them. */
const MOST_BLOCKS = 0xffffffff;

/** Serves the operations of libfuse on paths. */
export class PathCalls {
  readonly paths: Paths;
  readonly #hidden: HiddenFiles;

  /** @param files opens files */
  constructor(
    private readonly tree: Tree,
    private readonly files: OpenFiles,
  ) {
    this.paths = new Paths(tree);
    this.#hidden = files.hidden;
  }

  /** Every path walk, stat(2) and fstat(2). Throws ENOENT, ENOTDIR, ENAMETOOLONG. */
  getattr(path: string): Attributes {
    const hidden = this.#hidden.get(path);
    const attributes = attributesOf(hidden ?? this.paths.node(path));
    if (hidden !== undefined) attributes.nlink++; // libfuse subtracts the hidden name's link
    return attributes;
  }

  /**
   * statfs(2) and fstatfs(2), with the values that root would see. Throws ENOENT, ENOTDIR, as after
   * the death of the owner.
   * @returns the fields of struct statvfs in order, up to the longest name (f_namemax)
   */
  statfs(path: string): readonly number[] {
    if (this.#hidden.get(path) === undefined) this.paths.node(path);
    const { bytes, freeBytes, events, freeEvents } = this.tree.ledger.budget(0, 0);
    const [blocks, free] = [bytes, freeBytes].map((size) =>
      Math.min(MOST_BLOCKS, Math.floor(size / STATFS_BLOCK_BYTES)),
    );
    return [
      STATFS_BLOCK_BYTES,
      STATFS_BLOCK_BYTES,
      blocks,
      free,
      free,
      events,
      freeEvents,
      freeEvents,
      0,
      0,
      NAME_MAX,
    ];
  }

  /** chmod(2). */
  chmod(path: string, mode: number): void {
    this.#change(path, { mode });
  }

  /** chown(2). */
  chown(path: string, uid: number, gid: number): void {
    this.#change(path, { ...(uid !== UNCHANGED && { uid }), ...(gid !== UNCHANGED && { gid }) });
  }

  /** truncate(2). Throws EFBIG, EINVAL. */
  truncate(path: string, size: number): void {
    this.#change(path, { size });
  }

  /** utimensat(2), if the caller sets both times. Both are in milliseconds since 1970. */
  utimens(path: string, atimeMs: number, mtimeMs: number): void {
    this.#change(path, { atime: timestamp(atimeMs), mtime: timestamp(mtimeMs) });
  }

  /** readlink(2), and every path walk through a symlink. Throws EINVAL, ENOENT. */
  readlink(path: string): string {
    return toUtf8(this.paths.node(path).readlink());
  }

  /**
   * mkdir(2). Throws EEXIST, EPERM for any name but `<pid>` and `<pid>.<label>` in the root, ESRCH,
   * ENFILE.
   */
  mkdir(path: string, mode: number): void {
    const { directory, name } = this.paths.place(path);
    if (directory instanceof RootDirectory) directory.mkdirForNamed(name, mode);
    else directory.mkdir(name, mode, ownerOf(directory));
  }

  /** mkfifo(3), mknod(2), bind(2) of a Unix socket. Throws EPERM for devices, EEXIST. */
  mknod(path: string, mode: number): void {
    const { directory, name } = this.paths.free(path);
    directory.mknod(name, mode, ownerOf(directory));
  }

  /** link(2): it puts an event into another queue as well. Throws EPERM, EEXIST, ENOENT. */
  link(path: string, newPath: string): void {
    const node = this.paths.node(path);
    const { directory, name } = this.paths.free(newPath);
    directory.link(name, node);
  }

  /** symlink(2). Throws EPERM outside of process directories, EEXIST, EILSEQ. */
  symlink(target: string, path: string): void {
    const bytes = toBytes(target);
    refuseTarget(bytes);
    const { directory, name } = this.paths.free(path);
    directory.symlink(name, bytes, ownerOf(directory));
  }

  /**
   * rename(2). To one of libfuse's hidden names it means unlink(2) of a file that is open. Throws
   * ENOENT, EPERM.
   */
  rename(path: string, newPath: string): void {
    const from = this.paths.place(path);
    const to = this.paths.place(newPath);
    if (!isHiddenName(to.name))
      return from.directory.rename(from.name, to.directory, to.name, false);
    const node = this.paths.node(path);
    from.directory.unlink(from.name);
    this.#hidden.add(newPath, node);
  }

  /** unlink(2); also the last close(2) of a file with a hidden name. Throws ENOENT, EPERM. */
  unlink(path: string): void {
    if (this.#hidden.delete(path)) return;
    const { directory, name } = this.paths.place(path);
    directory.unlink(name);
  }

  /**
   * rmdir(2). Throws ENOENT, ENOTEMPTY, EPERM.
   * @param thread the memory of the libfuse thread, which tells the caller if that decides
   */
  rmdir(path: string, thread: Uint8Array): void {
    const { directory, name } = this.paths.place(path);
    try {
      directory.rmdir(name);
    } catch (error) {
      if (!(error instanceof FsError) || error.errno !== Errno.ENOTEMPTY) throw error;
      directory.rmdir(name, callerOf(thread));
    }
  }

  /**
   * setxattr(2). Throws EOPNOTSUPP, EPERM, EINVAL, EEXIST, ENODATA.
   * @param value bytes as characters
   * @param flags XATTR_CREATE, XATTR_REPLACE, or 0
   */
  setxattr(path: string, name: string, value: string, flags: number): void {
    const node = this.paths.node(path);
    setXattr(node, toBytes(name), value, flags, writerOf(node));
  }

  /** getxattr(2). Returns the value, bytes as characters. Throws ENODATA. */
  getxattr(path: string, name: string): string {
    return this.paths.node(path).getXattr(toBytes(name));
  }

  /** listxattr(2). Returns the names, each ended by NUL. */
  listxattr(path: string): string {
    return this.paths
      .node(path)
      .listXattrs()
      .map((name) => `${name}\0`)
      .join('');
  }

  /** removexattr(2). Throws ENODATA, EPERM. */
  removexattr(path: string, name: string): void {
    const node = this.paths.node(path);
    node.removeXattr(toBytes(name), writerOf(node));
  }

  /** open(2) of a file that exists. Throws EPERM, ELOOP, EISDIR. */
  open(path: string, flags: number): FileHandle {
    const node = this.paths.node(path);
    const opener = node instanceof PublishFile ? writerOf(node) : null;
    return this.files.enter(node, (owner) => node.open(flags, opener ?? owner), flags);
  }

  /**
   * open(2) with O_CREAT of a name that is free. fuse-native does not pass the other flags on, so
   * the file is open as with O_RDWR. Throws EPERM, EEXIST.
   */
  create(path: string, mode: number): FileHandle {
    const { directory, name } = this.paths.free(path);
    return this.files.enter(
      directory,
      (owner) => directory.create(name, mode, O_RDWR, owner),
      O_RDWR,
    );
  }

  /** fsync(2) of a directory. Throws ESTALE. */
  fsyncdir(path: string): void {
    this.#opened(() => this.paths.directory(path));
  }

  /** getdents64(2). Lists the whole directory at once. */
  readdir(path: string, to: Listing): void {
    this.#opened(() => this.paths.directory(path).list(0, to));
  }

  /**
   * Does `work` on an open directory. If its path does not exist, the directory has ended: throws
   * ESTALE instead of ENOENT.
   */
  #opened(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      throw error instanceof FsError && error.errno === Errno.ENOENT
        ? new FsError(Errno.ESTALE, 'the open directory has ended, with its owner or by rmdir')
        : error;
    }
  }

  #change(path: string, changes: AttributeChanges): void {
    (this.#hidden.get(path) ?? this.paths.node(path)).change(changes);
  }
}

function timestamp(ms: number): Timestamp {
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}
