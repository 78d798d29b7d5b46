/**
 * The operations of the tree on an open file, which libfuse knows by number. Each comment names the
 * system call that causes the call, and the errors that the call throws as an FsError.
 */
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { Errno, FsError } from '../../shared/errors.js';
import { O_APPEND, O_NONBLOCK } from '../../shared/open-flags.js';
import {
  APPEND,
  type Attributes,
  type FileHandle,
  type Handle,
  type Node,
} from '../../tree/nodes/node.js';
import type { Tree } from '../../tree/tree.js';
import { NO_EVENT_YET } from '../common/calls.js';
import { attributesOf, ownerOf } from './attributes.js';
import { HiddenFiles } from './paths/hidden-files.js';

/** Serves the operations of libfuse on open files. */
export class OpenFiles {
  /** Files that were unlinked while they were open. */
  readonly hidden = new HiddenFiles();
  /** The flags of open(2), by handle. */
  readonly #flags: number[] = [];

  constructor(private readonly tree: Tree) {}

  /**
   * Opens a file, and charges its directory's user for it.
   * @param open opens it as `owner`
   * @param flags the flags of open(2)
   */
  enter(node: Node, open: (owner: Caller) => Handle, flags: number): FileHandle {
    const owner = ownerOf(node);
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

  /** Returns the attributes of a file that has just been created. Throws ESTALE. */
  fgetattr(fh: number): Attributes {
    return attributesOf(this.#handle(fh).node);
  }

  /** ftruncate(2). Throws like truncate. */
  ftruncate(fh: number, size: number): void {
    this.#handle(fh).node.change({ size });
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
    if ((this.#flags[fh] & O_NONBLOCK) !== 0) throw new FsError(Errno.EAGAIN, NO_EVENT_YET);
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

  /** close(2) of the last descriptor. */
  release(fh: number): void {
    const node = this.tree.leave(fh as FileHandle);
    if (node !== undefined) this.hidden.closed(node);
  }

  #handle(fh: number): Handle {
    return this.tree.handle(fh as FileHandle);
  }
}
