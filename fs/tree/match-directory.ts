/** `match/`: a name is a filter, and the file so called is a stream of the events that match. Nothing is listed. */
import { type Attributes, Directory, FileType, type Listing, type Node, type NodeId } from './node.js';
import { parse } from './filter-file.js';
import { StreamFile } from './streams.js';
import type { Tree } from './tree.js';

export class MatchDirectory extends Directory {
  readonly mode = FileType.directory | 0o555;
  readonly #known = new Map<string, StreamFile>();

  constructor(
    private readonly tree: Tree,
    id: NodeId,
  ) {
    super(id, tree.forever);
  }

  /** The stream of a filter. EINVAL when the name is not one. */
  lookup(name: string): Node {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const { tree } = this;
    const file = new StreamFile(tree.mintNodeId(), tree.forever, tree.streams, parse(name), this.#known, name);
    this.#known.set(name, file);
    return file;
  }

  list(offset: number, to: Listing): void {
    if (offset < 1 && !to.add(this.ino, FileType.directory, '.', 1)) return;
    if (offset < 2) to.add(this.tree.root.ino, FileType.directory, '..', 2);
  }

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = 0;
    to.mode = this.mode;
    to.nlink = 2;
    to.uid = to.gid = 0;
    to.atime = to.mtime = to.ctime = this.born;
  }
}
