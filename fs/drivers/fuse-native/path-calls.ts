/**
 * The tree by paths, as libfuse's high-level interface asks for it: no node ids, no caller, a number for what is open.
 * Each call gives what it is asked for or throws; its comment says which system call sends it.
 *
 * Nobody tells who calls, so what is made in a directory belongs to the directory's user, whoever made it; the kernel
 * checks permissions before it asks (default_permissions).
 */
import { Errno, FsError, NOT_FOUND } from '../../shared/errors.js';
import type { Timestamp } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import {
  APPEND,
  type AttributeChanges,
  type Attributes,
  Directory,
  type FileHandle,
  type Handle,
  type Listing,
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
/** chown(2): stays as it is. */
const UNCHANGED = 0xffffffff;
const NOBODY = -1;
/** fuse-native has 32 bits for a number of blocks. */
const MOST_BLOCKS = 0xffffffff;
/** What libfuse renames a file to that is unlinked while it is open. */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;
/** What stands for bytes that are no UTF-8: fuse-native can't pass them on. */
const REPLACEMENT = '\ufffd';

/** A name of a directory: the node that the directory is, and the name's bytes as characters. */
interface Place {
  readonly directory: Directory;
  readonly name: string;
}

export class PathCalls {
  /** Files that were unlinked while they were open, by the path that libfuse has given them. Nobody else knows it. */
  readonly #hidden = new Map<string, Node>();
  /** The flags that a file was opened with, by its handle. */
  readonly #flags: number[] = [];
  readonly #attributes = emptyAttributes();

  constructor(private readonly tree: Tree) {}

  /** Every path walk, stat(2) and fstat(2). ENOENT, ENOTDIR, ENAMETOOLONG. */
  getattr(path: string): Attributes {
    const hidden = this.#hidden.get(path);
    const attributes = this.#attributesOf(hidden ?? this.#node(path));
    if (hidden !== undefined) attributes.nlink++; // libfuse takes one off: a rename leaves the one of the new name
    return attributes;
  }

  /** A file that has just been created. ESTALE. */
  fgetattr(fh: number): Attributes {
    return this.#attributesOf(this.#handle(fh).node);
  }

  /** statfs(2), as root sees it. @returns struct statvfs, field by field as far as the longest name */
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

  /** truncate(2). EFBIG, EINVAL. */
  truncate(path: string, size: number): void {
    this.#change(path, { size });
  }

  /** ftruncate(2). As truncate. */
  ftruncate(fh: number, size: number): void {
    this.#handle(fh).node.change({ size });
  }

  /** utimensat(2), when both times are given. */
  utimens(path: string, atimeMs: number, mtimeMs: number): void {
    this.#change(path, { atime: timestamp(atimeMs), mtime: timestamp(mtimeMs) });
  }

  /** readlink(2), and every path walk through a symlink. EINVAL, ENOENT. */
  readlink(path: string): string {
    return toUtf8(this.#node(path).readlink());
  }

  /** mkdir(2). EEXIST; EPERM but for `<pid>` and `<pid>.<label>` in the root; ESRCH, ENFILE. */
  mkdir(path: string, mode: number): void {
    const { directory, name } = this.#place(path);
    if (directory instanceof RootDirectory) directory.mkdirForNamed(name, mode);
    else directory.mkdir(name, mode, this.#ownerOf(directory));
  }

  /** mkfifo(3), mknod(2), bind(2) of a Unix socket. EPERM for devices, EEXIST. */
  mknod(path: string, mode: number): void {
    const { directory, name } = this.#free(path);
    directory.mknod(name, mode, this.#ownerOf(directory));
  }

  /** link(2): the multicast. EPERM, EEXIST, ENOENT. */
  link(path: string, newPath: string): void {
    const node = this.#node(path);
    const { directory, name } = this.#free(newPath);
    directory.link(name, node);
  }

  /** symlink(2). EPERM but in a process directory, EEXIST, EILSEQ. */
  symlink(target: string, path: string): void {
    const bytes = toBytes(target);
    refuseTarget(bytes);
    const { directory, name } = this.#free(path);
    directory.symlink(name, bytes, this.#ownerOf(directory));
  }

  /** rename(2). ENOENT, EPERM. With one of libfuse's hidden names: unlink(2) of a file that is open. */
  rename(path: string, newPath: string): void {
    const from = this.#place(path);
    const to = this.#place(newPath);
    if (!HIDDEN_NAME.test(to.name))
      return from.directory.rename(from.name, to.directory, to.name, false);
    const node = this.#node(path);
    from.directory.unlink(from.name);
    this.#hidden.set(newPath, node);
  }

  /** unlink(2). ENOENT, EPERM. With a hidden name: the last close(2). */
  unlink(path: string): void {
    if (this.#hidden.delete(path)) return;
    const { directory, name } = this.#place(path);
    directory.unlink(name);
  }

  /** rmdir(2). ENOENT, ENOTEMPTY, EPERM. */
  rmdir(path: string): void {
    const { directory, name } = this.#place(path);
    directory.rmdir(name);
  }

  /** setxattr(2). EOPNOTSUPP, EPERM, EINVAL, EEXIST, ENODATA. @param value bytes as characters */
  setxattr(path: string, name: string, value: string, flags: number): void {
    const node = this.#node(path);
    setXattr(node, toBytes(name), value, flags, this.#writerOf(node));
  }

  /** getxattr(2): bytes as characters. ENODATA. */
  getxattr(path: string, name: string): string {
    return this.#node(path).getXattr(toBytes(name));
  }

  /** listxattr(2): names, each ended by NUL. */
  listxattr(path: string): string {
    return this.#node(path)
      .listXattrs()
      .map((name) => `${name}\0`)
      .join('');
  }

  /** removexattr(2). ENODATA, EPERM. */
  removexattr(path: string, name: string): void {
    const node = this.#node(path);
    node.removeXattr(toBytes(name), this.#writerOf(node));
  }

  /** open(2) of what is there. EPERM, ELOOP, EISDIR. */
  open(path: string, flags: number): FileHandle {
    const node = this.#node(path);
    return this.#enter(node, (owner) => node.open(flags, owner), flags);
  }

  /** open(2) with O_CREAT of a name that is free. Its other flags are not told. EPERM, EEXIST. */
  create(path: string, mode: number): FileHandle {
    const { directory, name } = this.#free(path);
    return this.#enter(directory, (owner) => directory.create(name, mode, O_RDWR, owner), O_RDWR);
  }

  /** read(2). The handle when there is nothing yet and the caller must wait, else undefined; EAGAIN, EINVAL. */
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

  /** write(2); how many bytes it took. EINVAL, EFBIG, EBADF. */
  write(fh: number, bytes: Uint8Array, length: number, offset: number): number {
    const handle = this.#handle(fh);
    return handle.write(bytes, 0, length, (this.#flags[fh] & O_APPEND) !== 0 ? APPEND : offset);
  }

  /** fsync(2), fdatasync(2): nothing is written behind. ESTALE. Without this call the kernel would say 0 by itself. */
  fsync(fh: number): void {
    this.#handle(fh);
  }

  /** fsync(2) of a directory. ESTALE. */
  fsyncdir(path: string): void {
    this.#opened(() => this.#directory(path));
  }

  /** close(2) of the last descriptor. */
  release(fh: number): void {
    this.tree.leave(fh as FileHandle);
  }

  /** getdents64(2): all of it at once. */
  readdir(path: string, to: Listing): void {
    this.#opened(() => this.#directory(path).list(0, to));
  }

  /** Does something with a directory that was there to be opened: where it is not any more, it has ended. */
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
    // sendfile(2), splice(2) and mmap(2) read through the page cache, which must not hold what is read once: with
    // no size they find the end, and read(2) asks all the same.
    if (node instanceof StreamFile || node instanceof QueueStreamFile) attributes.size = 0;
    return attributes;
  }

  #change(path: string, changes: AttributeChanges): void {
    (this.#hidden.get(path) ?? this.#node(path)).change(changes);
  }

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

  /** What a path leads to. ENOENT, ENOTDIR, ENAMETOOLONG, EILSEQ. */
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

  /** Why a path leads to nothing, in words: for the trace. */
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

  /** The directory that a path's last name is in, whether it is there or not. */
  #place(path: string): Place {
    const slash = path.lastIndexOf('/');
    const name = toBytes(path.slice(slash + 1));
    refuseLong(name);
    return { directory: this.#directory(path.slice(0, slash)), name };
  }

  #free(path: string): Place {
    const place = this.#place(path);
    refuseTaken(place.directory, place.name);
    return place;
  }

  /** Who makes something in a directory, as far as anybody can tell: the directory's user. */
  #ownerOf(node: Node): Caller {
    const { uid, gid } = this.#attributesOf(node);
    return { uid, gid, pid: 0 };
  }

  /** Who may have passed the kernel's check to change a node's attributes: its user, or nobody knows who. */
  #writerOf(node: Node): Caller {
    const owner = this.#ownerOf(node);
    return (node.mode & GROUP_OR_OTHERS_WRITE) === 0 ? owner : { ...owner, uid: NOBODY };
  }
}

function parts(path: string): string[] {
  return toBytes(path)
    .split('/')
    .filter((name) => name !== '');
}

function timestamp(ms: number): Timestamp {
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}

/** A text of fuse-native's as bytes, each a character, as the tree has it. EILSEQ when it was no UTF-8. */
function toBytes(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  if (text.includes(REPLACEMENT))
    throw new FsError(Errno.EILSEQ, 'fuse-native passes on UTF-8 only');
  return Buffer.from(text).toString('latin1');
}

/** And back. */
export function toUtf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
