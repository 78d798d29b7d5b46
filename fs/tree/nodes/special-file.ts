/** A FIFO or a socket in a process directory: the kernel does all that is done with it, we only have its place. */
import { type Timestamp, now } from '../../bus/event.js';
import { Errno, FsError } from '../../shared/errors.js';
import { type AttributeChanges, type Attributes, type Handle, type Lifetime, Node, type NodeId, PERMISSION_BITS } from './node.js';

export class SpecialFile extends Node {
  mode: number;
  uid: number;
  gid: number;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;

  /** @param mode its type, S_IFIFO or S_IFSOCK, and permissions */
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

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = 0;
    to.mode = this.mode;
    to.nlink = 1;
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
