/**
 * `head` and `tail`: symlinks to a directory's oldest and newest event. They exist while the queue
 * has an event.
 */
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Entry } from '../../../bus/queue.js';
import { Errno, FsError } from '../../../shared/errors.js';
import { FixedNode, type FixedNodeHost } from './fixed-node.js';
import { type Attributes, FileType, type Handle, type NodeId } from '../node.js';

/** The end of a queue: `head` is the oldest event, `tail` the newest. */
export type End = 'head' | 'tail';

/** The directory whose events the links lead to. */
export interface EndsHost extends FixedNodeHost {
  readonly uid: number;
  readonly gid: number;
  readonly born: Timestamp;
  /** Returns the event at one end, or undefined if the queue is empty. */
  atEnd(end: End): Entry | undefined;
}

/** The symlink `head` or `tail`. */
export class EndLink extends FixedNode<EndsHost> {
  readonly mode = FileType.symlink | 0o777;

  constructor(
    id: NodeId,
    directory: EndsHost,
    readonly end: End,
  ) {
    super(id, directory, end);
  }

  /**
   * readlink(2).
   * @returns the name of the event at this end
   * @throws FsError ENOENT if the last event has just gone
   */
  override readlink(): string {
    const entry = this.directory.atEnd(this.end);
    if (entry === undefined) throw new FsError(Errno.ENOENT, 'the queue is empty');
    return entry.name;
  }

  /** stat(2): the times are those of the event. While the queue is empty the link count is 0. */
  attributes(to: Attributes): void {
    const { directory } = this;
    const entry = directory.atEnd(this.end);
    const time = entry?.event.time ?? directory.born;
    to.setFile(this.ino, this.mode, entry === undefined ? 0 : 1, entry?.name.length);
    to.setOwner(directory.uid, directory.gid);
    to.setTimes(time, time, time);
  }

  /**
   * The kernel follows the link itself.
   * @throws FsError ELOOP
   */
  override open(): Handle {
    throw new FsError(Errno.ELOOP, 'a symlink cannot be opened; open its target');
  }
}
