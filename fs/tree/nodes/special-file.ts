/**
 * The files of a process directory that are no events: FIFOs, sockets and symlinks. The kernel does
 * all that is done with them. The daemon has their place, and a symlink's target, which it never
 * follows.
 */
import { type Timestamp, now } from '../../bus/event.js';
import { Errno, FsError } from '../../shared/errors.js';
import {
  type AttributeChanges,
  type Attributes,
  FileType,
  type Handle,
  type Lifetime,
  Node,
  type NodeId,
  PERMISSION_BITS,
} from './node.js';
import { specialHeap } from '../prices.js';

export class SpecialFile extends Node {
  mode: number;
  uid: number;
  gid: number;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;
  #links = 1;

  /** @param mode its type, S_IFIFO, S_IFSOCK or S_IFLNK, and permissions */
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    public name: string,
    mode: number,
    owner: { readonly uid: number; readonly gid: number },
  ) {
    super(id, lifetime);
    this.mode = mode;
    this.uid = owner.uid;
    this.gid = owner.gid;
  }

  /** The memory that it is charged besides the price of an entry, in bytes. */
  get heap(): number {
    return this.heapAs(this.name);
  }

  /** The same under another name. */
  heapAs(name: string): number {
    return specialHeap(name);
  }

  /** st_size. */
  get size(): number {
    return 0;
  }

  /** rename(2): it is found elsewhere from now on, and lives as long as that. */
  moveTo(name: string, lifetime: Lifetime): void {
    this.name = name;
    this.lifetime = lifetime;
    this.#changed = now();
  }

  /** It has no name any more and is not charged: only descriptors from before reach it. */
  unlinked(): void {
    this.#links = 0;
    this.#changed = now();
  }

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = this.size;
    to.mode = this.mode;
    to.nlink = this.#links;
    to.uid = this.uid;
    to.gid = this.gid;
    to.atime = this.#accessed;
    to.mtime = this.#modified;
    to.ctime = this.#changed;
  }

  override change(changes: AttributeChanges): void {
    if (changes.mode !== undefined) this.mode = this.type | (changes.mode & PERMISSION_BITS);
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
    this.#accessed = changes.atime ?? this.#accessed;
    this.#modified = changes.mtime ?? this.#modified;
    this.#changed = now();
  }

  /** The kernel opens FIFOs by itself and sockets not at all: it never asks. */
  override open(): Handle {
    throw new FsError(Errno.ENXIO, 'FIFOs and sockets are opened by the kernel alone');
  }
}

/** A symlink that a user has made. The daemon keeps the target as it was given. */
export class SymlinkFile extends SpecialFile {
  readonly #size: number;
  #target: string;

  /** @param target bytes as characters */
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    name: string,
    target: string,
    owner: { readonly uid: number; readonly gid: number },
  ) {
    super(id, lifetime, name, FileType.symlink | 0o777, owner);
    this.#target = target;
    this.#size = target.length;
  }

  override heapAs(name: string): number {
    return specialHeap(name, this.#target);
  }

  override get size(): number {
    return this.#size;
  }

  /** ENOENT once it is removed: a target that is not charged is not kept for O_PATH descriptors. */
  override readlink(): string {
    if (this.#target === '') throw new FsError(Errno.ENOENT, 'the symlink has been removed');
    return this.#target;
  }

  override unlinked(): void {
    super.unlinked();
    this.#target = '';
  }

  /** lchown(2), utimensat(2). EOPNOTSUPP for a mode, as the kernel says (fs/attr.c, notify_change). */
  override change(changes: AttributeChanges): void {
    if (changes.mode !== undefined)
      throw new FsError(Errno.EOPNOTSUPP, 'a symlink has no mode of its own');
    super.change(changes);
  }

  /** The kernel follows it, and never asks. */
  override open(): Handle {
    throw new FsError(Errno.ELOOP, 'it is a symlink');
  }
}
