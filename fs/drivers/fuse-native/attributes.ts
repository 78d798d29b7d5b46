/**
 * The attributes of nodes as libfuse's clients see them, and the callers that stand in for the
 * callers that fuse-native does not pass on.
 */
import type { Caller } from '../../owners/owners.js';
import { Attributes } from '../../tree/nodes/attributes.js';
import type { Node } from '../../tree/nodes/node.js';
import { QueueStreamFile } from '../../tree/streams/queue-stream.js';
import { StreamFile } from '../../tree/streams/stream-file.js';

const GROUP_OR_OTHERS_WRITE = 0o022;
/** The uid of an unknown user. */
const NOBODY = -1;

/** The attributes that `attributesOf` returns: one object serves all calls. */
const attributes = new Attributes();

/** Returns the attributes of a node, in an object that the next call overwrites. */
export function attributesOf(node: Node): Attributes {
  node.attributes(attributes);
  // sendfile(2), splice(2) and mmap(2) read through the page cache, which must not hold bytes
  // that are read once. With a size of 0 they find the end of the file. read(2) does not look at
  // the size.
  if (node instanceof StreamFile || node instanceof QueueStreamFile) attributes.size = 0;
  return attributes;
}

/** Returns the node's user as the caller, because fuse-native does not pass the caller on. */
export function ownerOf(node: Node): Caller {
  const { uid, gid } = attributesOf(node);
  return { uid, gid, pid: 0 };
}

/**
 * Returns the caller of a change of a node's attributes. If only the node's user may write, the
 * kernel has let only that user pass. Else the user is unknown.
 */
export function writerOf(node: Node): Caller {
  const owner = ownerOf(node);
  return (node.mode & GROUP_OR_OTHERS_WRITE) === 0 ? owner : { ...owner, uid: NOBODY };
}
