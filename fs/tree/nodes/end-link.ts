/** `head` and `tail`: symlinks to a directory's oldest and newest event, while it has one. */
import { Errno, FsError } from '../../shared/errors.js';
import type { EventDirectory } from './event-directory.js';
import type { Handle } from '../handle.js';
import { type Attributes, FileType, Node, type NodeId } from './node.js';

export type End = 'head' | 'tail';

export class EndLink extends Node {
  readonly mode = FileType.symlink | 0o777;

  constructor(
    id: NodeId,
    readonly directory: EventDirectory,
    readonly end: End,
  ) {
    super(id, directory.lifetime);
  }

  /** The name of the event at this end. ENOENT when the last has just gone. */
  override readlink(): string {
    const entry = this.directory.atEnd(this.end);
    if (entry === undefined) throw new FsError(Errno.ENOENT);
    return entry.name;
  }

  attributes(to: Attributes): void {
    const { directory } = this;
    const entry = directory.atEnd(this.end);
    to.ino = this.ino;
    to.size = entry?.name.length ?? 0;
    to.mode = this.mode;
    to.nlink = entry === undefined ? 0 : 1;
    to.uid = directory.uid;
    to.gid = directory.gid;
    to.atime = to.mtime = to.ctime = entry?.event.time ?? this.born;
  }

  override open(): Handle {
    throw new FsError(Errno.ELOOP);
  }

  override forgotten(): void {
    this.directory.fixtureForgotten(this.end);
  }
}
