/** Walks the tree by path, because libfuse's high-level interface has no node ids. */
import { Errno, FsError, NOT_FOUND } from '../../../shared/errors.js';
import type { Node } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';
import { NOT_DIRECTORY, refuseLong, refuseTaken } from '../../common/calls.js';
import { toBytes } from '../values.js';
import { Directory } from '../../../tree/nodes/directory.js';

/** A name in a directory: the directory's node, and the name's bytes as characters. */
interface Place {
  readonly directory: Directory;
  readonly name: string;
}

/** Finds the nodes that paths lead to. */
export class Paths {
  constructor(private readonly tree: Tree) {}

  /** Returns the node that a path leads to. Throws ENOENT, ENOTDIR, ENAMETOOLONG, EILSEQ. */
  node(path: string): Node {
    let node: Node = this.tree.root;
    for (const name of parts(path)) {
      if (!(node instanceof Directory))
        throw new FsError(Errno.ENOTDIR, 'a component of the path is not a directory');
      refuseLong(name);
      const next = node.lookup(name);
      if (next === undefined) throw new FsError(Errno.ENOENT, NOT_FOUND);
      node = next;
    }
    return node;
  }

  /** Returns the directory that a path leads to. Throws ENOENT, ENOTDIR, ENAMETOOLONG, EILSEQ. */
  directory(path: string): Directory {
    const node = this.node(path);
    if (!(node instanceof Directory)) throw new FsError(Errno.ENOTDIR, NOT_DIRECTORY);
    return node;
  }

  /** Returns the last name of a path and its directory, whether the name exists or not. */
  place(path: string): Place {
    const slash = path.lastIndexOf('/');
    const name = toBytes(path.slice(slash + 1));
    refuseLong(name);
    return { directory: this.directory(path.slice(0, slash)), name };
  }

  /** Does the same as `place`, but throws EEXIST if the name exists. */
  free(path: string): Place {
    const place = this.place(path);
    refuseTaken(place.directory, place.name);
    return place;
  }

  /** Returns in words why a path does not exist, for the trace. */
  whyNotFound(path: string): string {
    let node: Node = this.tree.root;
    for (const name of parts(path)) {
      if (!(node instanceof Directory)) break;
      const next: Node | undefined = node.lookup(name);
      if (next === undefined) return node.whyNotFound(name);
      node = next;
    }
    return NOT_FOUND;
  }
}

/** Splits a path into its names, bytes as characters. */
function parts(path: string): string[] {
  return toBytes(path)
    .split('/')
    .filter((name) => name !== '');
}
