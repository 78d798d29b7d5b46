/**
 * The operations of the tree by path, as libfuse's high-level interface calls them: without node
 * ids, without a caller, and with a number for each open file. Each comment names the system call
 * that causes the call, and the errors that the call throws as an FsError.
 *
 * fuse-native does not pass the caller on. So a new file belongs to its directory's user, not to
 * the process that makes it. The kernel checks permissions before (default_permissions).
 */
import { Errno, FsError, NOT_FOUND } from '../../shared/errors.js';
import type { Timestamp } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { Directory, type Listing } from '../../tree/nodes/directory.js';
import {
  APPEND,
  type AttributeChanges,
  type Attributes,
  type FileHandle,
  type Handle,
  type Node,
  emptyAttributes,
} from '../../tree/nodes/node.js';
import { QueueStreamFile } from '../../tree/streams/queue-stream.js';
import { RootDirectory } from '../../tree/nodes/root-directory.js';
import { StreamFile } from '../../tree/streams/streams.js';
import type { Tree } from '../../tree/tree.js';
import {
  NAME_MAX,
  STATFS_BLOCK_BYTES,
  refuseLong,
  refuseTaken,
  refuseTarget,
  setXattr,
} from '../common/calls.js';
import { O_APPEND, O_NONBLOCK, O_RDWR } from '../../shared/open-flags.js';

const GROUP_OR_OTHERS_WRITE = 0o022;
/** An id that chown(2) leaves as it is. */
const UNCHANGED = 0xffffffff;
/** The uid of an unknown user. */
const NOBODY = -1;
/** The most blocks that statfs(2) can report: fuse-native has 32 bits for them. */
const MOST_BLOCKS = 0xffffffff;
/** The name that libfuse gives to a file that is unlinked while it is open. */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;
/** The character that fuse-native puts in place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/** A name in a directory: the directory's node, and the name's bytes as characters. */
interface Place {
  readonly directory: Directory;
  readonly name: string;
}

/** Serves the operations of libfuse on the tree. */
export class PathCalls {
  /**
   * Files that were unlinked while they were open, by their hidden path, which only libfuse knows.
   */
  readonly #hidden = new Map<string, Node>();
  /** The flags of open(2), by handle. */
  readonly #flags: number[] = [];
  readonly #attributes = emptyAttributes();

  constructor(private readonly tree: Tree) {}

  /** Every path walk, stat(2) and fstat(2). Throws ENOENT, ENOTDIR, ENAMETOOLONG. */
  getattr(path: string): Attributes {
    const hidden = this.#hidden.get(path);
    const attributes = this.#attributesOf(hidden ?? this.#node(path));
    if (hidden !== undefined) attributes.nlink++; // libfuse subtracts the hidden name's link
    return attributes;
  }

  /** The attributes of a file that has just been created. Throws ESTALE. */
  fgetattr(fh: number): Attributes {
    return this.#attributesOf(this.#handle(fh).node);
  }

  /**
   * statfs(2), with the values that root would see.
   * @returns the fields of struct statvfs in order, up to the longest name (f_namemax)
   */
  statfs(): readonly number[] {
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

  /** ftruncate(2). Throws like truncate. */
  ftruncate(fh: number, size: number): void {
    this.#handle(fh).node.change({ size });
  }

  /** utimensat(2), if the caller sets both times. Both are in milliseconds since 1970. */
  utimens(path: string, atimeMs: number, mtimeMs: number): void {
    this.#change(path, { atime: timestamp(atimeMs), mtime: timestamp(mtimeMs) });
  }

  /** readlink(2), and every path walk through a symlink. Throws EINVAL, ENOENT. */
  readlink(path: string): string {
    return toUtf8(this.#node(path).readlink());
  }

  /**
   * mkdir(2). Throws EEXIST, EPERM for any name but `<pid>` and `<pid>.<label>` in the root, ESRCH,
   * ENFILE.
   */
  mkdir(path: string, mode: number): void {
    const { directory, name } = this.#place(path);
    if (directory instanceof RootDirectory) directory.mkdirForNamed(name, mode);
    else directory.mkdir(name, mode, this.#ownerOf(directory));
  }

  /** mkfifo(3), mknod(2), bind(2) of a Unix socket. Throws EPERM for devices, EEXIST. */
  mknod(path: string, mode: number): void {
    const { directory, name } = this.#free(path);
    directory.mknod(name, mode, this.#ownerOf(directory));
  }

  /** link(2): it puts an event into another queue as well. Throws EPERM, EEXIST, ENOENT. */
  link(path: string, newPath: string): void {
    const node = this.#node(path);
    const { directory, name } = this.#free(newPath);
    directory.link(name, node);
  }

  /** symlink(2). Throws EPERM outside of process directories, EEXIST, EILSEQ. */
  symlink(target: string, path: string): void {
    const bytes = toBytes(target);
    refuseTarget(bytes);
    const { directory, name } = this.#free(path);
    directory.symlink(name, bytes, this.#ownerOf(directory));
  }

  /**
   * rename(2). To one of libfuse's hidden names it means unlink(2) of a file that is open. Throws
   * ENOENT, EPERM.
   */
  rename(path: string, newPath: string): void {
    const from = this.#place(path);
    const to = this.#place(newPath);
    if (!HIDDEN_NAME.test(to.name))
      return from.directory.rename(from.name, to.directory, to.name, false);
    const node = this.#node(path);
    from.directory.unlink(from.name);
    this.#hidden.set(newPath, node);
  }

  /** unlink(2); also the last close(2) of a file with a hidden name. Throws ENOENT, EPERM. */
  unlink(path: string): void {
    if (this.#hidden.delete(path)) return;
    const { directory, name } = this.#place(path);
    directory.unlink(name);
  }

  /** rmdir(2). Throws ENOENT, ENOTEMPTY, EPERM. */
  rmdir(path: string): void {
    const { directory, name } = this.#place(path);
    directory.rmdir(name);
  }

  /**
   * setxattr(2). Throws EOPNOTSUPP, EPERM, EINVAL, EEXIST, ENODATA.
   * @param value bytes as characters
   * @param flags XATTR_CREATE, XATTR_REPLACE, or 0
   */
  setxattr(path: string, name: string, value: string, flags: number): void {
    const node = this.#node(path);
    setXattr(node, toBytes(name), value, flags, this.#writerOf(node));
  }

  /** getxattr(2). Returns the value, bytes as characters. Throws ENODATA. */
  getxattr(path: string, name: string): string {
    return this.#node(path).getXattr(toBytes(name));
  }

  /** listxattr(2). Returns the names, each ended by NUL. */
  listxattr(path: string): string {
    return this.#node(path)
      .listXattrs()
      .map((name) => `${name}\0`)
      .join('');
  }

  /** removexattr(2). Throws ENODATA, EPERM. */
  removexattr(path: string, name: string): void {
    const node = this.#node(path);
    node.removeXattr(toBytes(name), this.#writerOf(node));
  }

  /** open(2) of a file that exists. Throws EPERM, ELOOP, EISDIR. */
  open(path: string, flags: number): FileHandle {
    const node = this.#node(path);
    return this.#enter(node, (owner) => node.open(flags, owner), flags);
  }

  /**
   * open(2) with O_CREAT of a name that is free. fuse-native does not pass the other flags on, so
   * the file is open as with O_RDWR. Throws EPERM, EEXIST.
   */
  create(path: string, mode: number): FileHandle {
    const { directory, name } = this.#free(path);
    return this.#enter(directory, (owner) => directory.create(name, mode, O_RDWR, owner), O_RDWR);
  }

  /**
   * read(2). Puts the bytes into `sink`. Throws EAGAIN for O_NONBLOCK, EINVAL.
   * @returns the handle if no event has come yet and the caller has to wait, else undefined
   */
  read(fh: number, offset: number, sink: Sink): Handle | undefined {
    const handle = this.#handle(fh);
    const size = sink.room;
    if (handle.asksForRest(offset, size)) return undefined;
    if (handle.read(offset, sink)) {
      if (sink.room > 0 && sink.room < size) handle.gotShort(0, offset, sink.room, false);
      return undefined;
    }
    if ((this.#flags[fh] & O_NONBLOCK) !== 0)
      throw new FsError(
        Errno.EAGAIN,
        'no event has come yet, and the caller does not wait (O_NONBLOCK)',
      );
    return handle;
  }

  /** write(2). Returns how many bytes it has taken. Throws EINVAL, EFBIG, EBADF. */
  write(fh: number, bytes: Uint8Array, length: number, offset: number): number {
    const handle = this.#handle(fh);
    return handle.write(bytes, 0, length, (this.#flags[fh] & O_APPEND) !== 0 ? APPEND : offset);
  }

  /**
   * fsync(2), fdatasync(2). The tree has no data to write back. Throws ESTALE. Without this method
   * the kernel would return 0 by itself.
   */
  fsync(fh: number): void {
    this.#handle(fh);
  }

  /** fsync(2) of a directory. Throws ESTALE. */
  fsyncdir(path: string): void {
    this.#opened(() => this.#directory(path));
  }

  /** close(2) of the last descriptor. */
  release(fh: number): void {
    this.tree.leave(fh as FileHandle);
  }

  /** getdents64(2). Lists the whole directory at once. */
  readdir(path: string, to: Listing): void {
    this.#opened(() => this.#directory(path).list(0, to));
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
        ? new FsError(Errno.ESTALE, 'what is open there has ended, with its owner or by rmdir')
        : error;
    }
  }

  #attributesOf(node: Node): Attributes {
    const attributes = this.#attributes;
    node.attributes(attributes);
    // sendfile(2), splice(2) and mmap(2) read through the page cache, which must not hold bytes
    // that are read once. With a size of 0 they find the end of the file. read(2) does not look at
    // the size.
    if (node instanceof StreamFile || node instanceof QueueStreamFile) attributes.size = 0;
    return attributes;
  }

  #change(path: string, changes: AttributeChanges): void {
    (this.#hidden.get(path) ?? this.#node(path)).change(changes);
  }

  /**
   * Opens a file, and charges its directory's user for it.
   * @param open opens it as `owner`
   * @param flags the flags of open(2)
   */
  #enter(node: Node, open: (owner: Caller) => Handle, flags: number): FileHandle {
    const owner = this.#ownerOf(node);
    const heap = node.openHeap;
    const account = this.tree.chargeOpen(node, owner);
    let handle: Handle;
    try {
      handle = open(owner);
    } catch (error) {
      account.refundItem('memory', heap);
      throw error;
    }
    const fh = this.tree.enter(handle, account, heap);
    this.#flags[fh] = flags;
    return fh;
  }

  #handle(fh: number): Handle {
    return this.tree.handle(fh as FileHandle);
  }

  /** Returns the node that a path leads to. Throws ENOENT, ENOTDIR, ENAMETOOLONG, EILSEQ. */
  #node(path: string): Node {
    let node: Node = this.tree.root;
    for (const name of parts(path)) {
      if (!(node instanceof Directory))
        throw new FsError(Errno.ENOTDIR, 'a part of the path is no directory');
      refuseLong(name);
      const next = node.lookup(name);
      if (next === undefined) throw new FsError(Errno.ENOENT, NOT_FOUND);
      node = next;
    }
    return node;
  }

  /** Returns in words why a path does not exist, for the trace. */
  whyNotFound(path: string): string {
    let node: Node = this.tree.root;
    for (const name of parts(path)) {
      if (!(node instanceof Directory)) break;
      const next: Node | undefined = node.lookup(name);
      if (next === undefined) return node.whyNotFound(name);
      node = next;
    }
    return NOT_FOUND;
  }

  #directory(path: string): Directory {
    const node = this.#node(path);
    if (!(node instanceof Directory)) throw new FsError(Errno.ENOTDIR, 'it is no directory');
    return node;
  }

  /** Returns the last name of a path and its directory, whether the name exists or not. */
  #place(path: string): Place {
    const slash = path.lastIndexOf('/');
    const name = toBytes(path.slice(slash + 1));
    refuseLong(name);
    return { directory: this.#directory(path.slice(0, slash)), name };
  }

  /** Like `#place`. Throws EEXIST if the name exists. */
  #free(path: string): Place {
    const place = this.#place(path);
    refuseTaken(place.directory, place.name);
    return place;
  }

  /** Returns the node's user as the caller, because fuse-native does not pass the caller on. */
  #ownerOf(node: Node): Caller {
    const { uid, gid } = this.#attributesOf(node);
    return { uid, gid, pid: 0 };
  }

  /**
   * Returns the caller of a change of a node's attributes. If only the node's user may write, the
   * kernel has let only that user pass. Else the user is unknown.
   */
  #writerOf(node: Node): Caller {
    const owner = this.#ownerOf(node);
    return (node.mode & GROUP_OR_OTHERS_WRITE) === 0 ? owner : { ...owner, uid: NOBODY };
  }
}

/** Splits a path into its names, bytes as characters. */
function parts(path: string): string[] {
  return toBytes(path)
    .split('/')
    .filter((name) => name !== '');
}

function timestamp(ms: number): Timestamp {
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}

/**
 * Converts a string of fuse-native to bytes as characters, the form that the tree uses.
 * @throws FsError EILSEQ if the bytes were not UTF-8
 */
function toBytes(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  if (text.includes(REPLACEMENT))
    throw new FsError(Errno.EILSEQ, 'fuse-native passes on UTF-8 only');
  return Buffer.from(text).toString('latin1');
}

/**
 * Converts bytes as characters to a string for fuse-native.
 * @param bytes UTF-8; other bytes become U+FFFD
 */
export function toUtf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
