/**
 * Tells which recorded replies of the last daemon must not be sent. The request came before the
 * death of the directory's owner, but its reply would come after it, and the next daemon knows of
 * the death by then.
 *
 * Replies that report a change (WRITE, MKDIR) stay true. One that opens a file must be sent: the
 * kernel closes only files whose number it knows.
 */
import { InHeader, Opcode, Size } from '../../../fuse/abi.js';
import { u64At } from '../../../fuse/request.js';
import type { FileHandle, NodeId } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';

/**
 * Returns whether the recorded reply to the request in memory shows the contents or attributes of
 * something that has ended. The request is then served like a new one, and fails.
 * @param words the request
 */
export function isStale(tree: Tree, words: Uint32Array): boolean {
  switch (words[InHeader.opcode >>> 2]) {
    case Opcode.FUSE_READ:
    case Opcode.FUSE_READDIR:
      return tree.handles.hasEnded(u64At(words, Size.fuse_in_header) as FileHandle);
    case Opcode.FUSE_LOOKUP:
    case Opcode.FUSE_GETATTR:
      return tree.hasEnded(u64At(words, InHeader.nodeid) as NodeId);
    default:
      return false;
  }
}
