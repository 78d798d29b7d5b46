/** `match/`: a name is a filter, and the file so called is a stream of the events that match. Nothing is listed. */
import { Errno, FsError } from '../../shared/errors.js';
import { Filter } from '../../uevent/filter/filter.js';
import { NAMED_COUNT, NAMED_FIRST } from '../../shared/id-allocator.js';
import {
  type Attributes,
  Directory,
  FOREVER,
  FileType,
  type Listing,
  type Node,
  type NodeId,
  ROOT_ID,
} from './node.js';
import { parse } from '../filter-charge.js';
import { StreamFile } from '../streams/streams.js';
import type { TreeContext } from '../context.js';

/** How many names are remembered, but for those that are open. */
const MOST_KNOWN = 256;

/**
 * The inode number of a file with that name: its FNV-1a hash, cut to the numbers that are set aside.
 * Any user may look up any number of names, so that no name is kept. Two names with one number do no
 * harm: each file has one link, and the kernel goes by node ids.
 */
function inodeOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return NAMED_FIRST + ((hash >>> 0) % NAMED_COUNT);
}

/** A file of `match/`. Its node is made anew after a FORGET, with the same number and times. */
class MatchFile extends StreamFile {
  readonly #ino: number;

  /** @param name the filter's text, which is one */
  constructor(
    id: NodeId,
    private readonly directory: MatchDirectory,
    private readonly name: string,
  ) {
    super(id, directory.lifetime, directory.context.streams);
    this.#ino = inodeOf(name);
  }

  override get ino(): number {
    return this.#ino;
  }

  /**
   * The filter, parsed at each open: any user may have the kernel know thousands of names, and a
   * filter is charged to no user before a file is opened.
   */
  protected override get filter(): Filter {
    return Filter.parse(this.name);
  }

  override attributes(to: Attributes): void {
    super.attributes(to);
    to.atime = to.mtime = to.ctime = this.directory.born;
  }

  override change(): void {
    throw new FsError(Errno.EPERM, 'its name is all there is to it');
  }

  override forgotten(): void {
    this.directory.forget(this.name);
  }
}

export class MatchDirectory extends Directory {
  readonly mode = FileType.directory | 0o555;
  readonly #known = new Map<string, StreamFile>();

  constructor(
    readonly context: TreeContext,
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
    const file = new MatchFile(context.newNodeId(), this, name);
    this.#known.set(name, file);
    return file;
  }

  /** The kernel has forgotten the file of that name. */
  forget(name: string): void {
    this.#known.delete(name);
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
