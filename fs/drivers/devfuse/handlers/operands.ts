/**
 * The operands that requests have in common: the node, directory, handle or name that a request
 * names, and the replies that carry a node.
 */
import { Errno, FsError } from '../../../shared/errors.js';
import { FUSE_ROOT_ID } from '../../../fuse/abi.js';
import type { Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import { EventDirectory } from '../../../tree/nodes/event-directory.js';
import { type FileHandle, type Handle, type Node, type NodeId } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';
import { NOT_DIRECTORY, refuseLong } from '../../common/calls.js';
import { Attributes } from '../../../tree/nodes/attributes.js';
import { Directory } from '../../../tree/nodes/directory.js';

/**
 * How long the kernel may cache the root's attributes, in seconds. The kernel caches no other
 * attributes, because the death of an owner may make them stale.
 */
const ROOT_ATTR_VALID_SECONDS = 1;

/** The attributes of the node that is being replied: one object, so that no reply allocates. */
const attributes = new Attributes();

/**
 * Returns the node that the request is about.
 * @throws FsError ESTALE
 */
export function nodeOf(tree: Tree, request: Request): Node {
  return tree.node(request.nodeid as NodeId);
}

/**
 * Returns the directory that the request is about, and notes that the caller has entered it.
 * @throws FsError ENOTDIR, ESTALE
 */
export function directoryOf(tree: Tree, request: Request): Directory {
  const node = nodeOf(tree, request);
  if (!(node instanceof Directory)) throw new FsError(Errno.ENOTDIR, NOT_DIRECTORY);
  if (node instanceof EventDirectory) tree.inotify.entered(node, request.pid);
  return node;
}

/**
 * Reads the handle that comes next in the request.
 * @throws FsError ESTALE
 */
export function handleOf(tree: Tree, request: Request): Handle {
  return tree.handle(request.u64() as FileHandle);
}

/**
 * Reads the name that comes next in the request.
 * @returns bytes as characters
 * @throws FsError ENAMETOOLONG
 */
export function nameOf(request: Request): string {
  const name = request.name();
  refuseLong(name);
  return name;
}

/** Puts fuse_entry_out of a node into the reply, and counts the lookup. */
export function replyEntry(tree: Tree, reply: Reply, node: Node): void {
  tree.remember(node);
  node.attributes(attributes);
  reply.entry(node.id, attributes);
}

/** Puts fuse_attr_out of a node into the reply. */
export function replyAttributes(reply: Reply, node: Node): void {
  node.attributes(attributes);
  reply.attr(attributes, node.id === FUSE_ROOT_ID ? ROOT_ATTR_VALID_SECONDS : 0);
}
