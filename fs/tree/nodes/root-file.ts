/** A file of the root. */
import { type AttributeChanges, type Attributes, FileType, type Lifetime, Node, type NodeId } from './node.js';

/** A file of the root whose mode and owner the administrator may change. */
export abstract class RootFile extends Node {
  uid = 0;
  gid = 0;

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

  /** chmod(2) and chown(2); a size or a time is accepted and means nothing. */
  override change(changes: AttributeChanges): void {
    if (changes.mode !== undefined) this.permissions = changes.mode & 0o7777;
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
  }

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = 0;
    to.mode = this.mode;
    to.nlink = 1;
    to.uid = this.uid;
    to.gid = this.gid;
    to.atime = to.mtime = to.ctime = this.born;
  }
}
