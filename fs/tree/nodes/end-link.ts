/** `head` and `tail`: symlinks to a directory's oldest and newest event, while it has one. */
import type { Timestamp } from '../../bus/event.js';
import type { Entry } from '../../bus/queue.js';
import { Errno, FsError } from '../../shared/errors.js';
import {
  type Attributes,
  FileType,
  type Handle,
  type Lifetime,
  Node,
  type NodeId,
} from './node.js';

export type End = 'head' | 'tail';

/** The directory whose events it leads to. */
export interface EndsHost {
  readonly lifetime: Lifetime;
  readonly uid: number;
  readonly gid: number;
  readonly born: Timestamp;
  /** The inode number of one of the names that it always has. */
  inodeOf(name: string): number;
  /** The event at one end, or undefined when there is none. */
  atEnd(end: End): Entry | undefined;
  /** The kernel has forgotten the link. */
  fixtureForgotten(name: string): void;
}

export class EndLink extends Node {
  readonly mode = FileType.symlink | 0o777;
  readonly #ino: number;

  constructor(
    id: NodeId,
    readonly directory: EndsHost,
    readonly end: End,
  ) {
    super(id, directory.lifetime);
    this.#ino = directory.inodeOf(end);
  }

  override get ino(): number {
    return this.#ino;
  }

  /** The name of the event at this end. ENOENT when the last has just gone. */
  override readlink(): string {
    const entry = this.directory.atEnd(this.end);
    if (entry === undefined) throw new FsError(Errno.ENOENT, 'the queue is empty');
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
    to.atime = to.mtime = to.ctime = entry?.event.time ?? directory.born;
  }

  override open(): Handle {
    throw new FsError(Errno.ELOOP, 'it is a symlink');
  }

  override forgotten(): void {
    this.directory.fixtureForgotten(this.end);
  }
}
