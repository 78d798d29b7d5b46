/** `match/`: a name is a filter, and the file so called is a stream of the events that match. Nothing is listed. */
import { type Attributes, Directory, FOREVER, FileType, type Listing, type Node, type NodeId, ROOT_ID } from './node.js';
import { parse } from '../filter-charge.js';
import { StreamFile } from '../streams/streams.js';
import type { TreeContext } from '../context.js';

/** How many names are remembered, but for those that are open. */
const MOST_KNOWN = 256;

export class MatchDirectory extends Directory {
  readonly mode = FileType.directory | 0o555;
  readonly #known = new Map<string, StreamFile>();

  constructor(
    private readonly context: TreeContext,
    id: NodeId,
  ) {
    super(id, FOREVER);
  }

  /** The stream of a filter. EINVAL when the name is not one, or one with too many terms or alternatives. */
  lookup(name: string): Node {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const { context } = this;
    parse(name, context.settings.filterLimits);
    this.#makeRoom();
    const file = new StreamFile(context.newNodeId(), FOREVER, context.streams, name, this.#known, name);
    this.#known.set(name, file);
    return file;
  }

  /**
   * Anyone can look up any number of names, and the kernel remembers them as long as it has memory. What is disowned is
   * looked up anew when it is asked for again.
   */
  #makeRoom(): void {
    if (this.#known.size < MOST_KNOWN) return;
    for (const [name, file] of this.#known) {
      if (file.opens > 0) continue;
      this.#known.delete(name);
      return this.context.disown(file);
    }
  }

  list(offset: number, to: Listing): void {
    if (offset < 1 && !to.add(this.ino, FileType.directory, '.', 1)) return;
    if (offset < 2) to.add(ROOT_ID, FileType.directory, '..', 2);
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
