/** Base class of the files of the root. */
import { type Timestamp, now } from '../../bus/event.js';
import {
  type AttributeChanges,
  type Attributes,
  FileType,
  type Lifetime,
  Node,
  type NodeId,
} from './node.js';

/** A file of the root whose mode, owner and times the administrator may change. */
export abstract class RootFile extends Node {
  uid = 0;
  gid = 0;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;

  /** @param permissions the permission bits of st_mode */
  constructor(
    id: NodeId,
    lifetime: Lifetime,
    protected permissions: number,
  ) {
    super(id, lifetime);
  }

  get mode(): number {
    return FileType.regular | this.permissions;
  }

  /** chmod(2), chown(2) and utimensat(2). A size is accepted and ignored. */
  override change(changes: AttributeChanges): void {
    if (changes.mode !== undefined) this.permissions = changes.mode & 0o7777;
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
    this.#accessed = changes.atime ?? this.#accessed;
    this.#modified = changes.mtime ?? this.#modified;
    this.#changed = now();
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
}
