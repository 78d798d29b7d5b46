/**
 * `match/`: a name in it is a filter, and the file of that name is a stream of the events that
 * match. A listing shows no names.
 */
import { Errno, FsError } from '../../shared/errors.js';
import { Filter } from '../../uevent/filter/filter.js';
import { NAMED_COUNT, NAMED_FIRST } from '../../shared/id-allocator.js';
import { type Attributes, FileType, MOUNT_USER } from './attributes.js';
import { Directory, type Listing, listDots } from './directory.js';
import { FOREVER, type Node, type NodeId, ROOT_ID } from './node.js';
import { parse } from '../filter-charge.js';
import { StreamFile } from '../streams/stream-file.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded } from '../../state/recorder.js';
import { Kind } from '../../state/schema.js';
import type { TreeContext } from '../context.js';

/** The most names that the directory remembers, besides those of open files. */
const MOST_KNOWN = 256;

/**
 * Returns the inode number of the file with that name: the FNV-1a hash of the name, mapped to the
 * numbers that are set aside for this. Any user may look up any number of names, so the daemon does
 * not store a number for each name. Two names with the same number do no harm: each file has one
 * link, and the kernel goes by node ids.
 */
function inodeOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return NAMED_FIRST + ((hash >>> 0) % NAMED_COUNT);
}

/**
 * A file of `match/`. After a FORGET the next lookup makes a new node, with the same inode number
 * and times.
 */
class MatchFile extends StreamFile {
  readonly #ino: number;

  /** @param name the text of a valid filter */
  constructor(
    id: NodeId,
    private readonly directory: MatchDirectory,
    readonly name: string,
  ) {
    super(id, directory.lifetime, directory.context.streams);
    this.#ino = inodeOf(name);
  }

  override get parentId(): number {
    return this.directory.id;
  }

  override get nameInParent(): string {
    return this.name;
  }

  override get ino(): number {
    return this.#ino;
  }

  /**
   * The filter, parsed at each open. Any user may make the kernel remember thousands of names, and
   * no user is charged for a filter before open(2).
   */
  protected override get filter(): Filter {
    return Filter.parse(this.name);
  }

  /** stat(2): the times are those of `match/`, so a FORGET does not change them. */
  override attributes(to: Attributes): void {
    super.attributes(to);
    const { born } = this.directory;
    to.setTimes(born, born, born);
  }

  /**
   * Refuses to change the attributes of a file of `match/`.
   * @throws FsError EPERM
   */
  override change(): void {
    throw new FsError(Errno.EPERM, 'the attributes of a file of match/ cannot be changed');
  }

  override forgotten(): void {
    this.directory.forget(this);
  }

  /**
   * Writes the record by which a later daemon knows the file. The kernel repeats an open(2) that
   * fails by ESTALE only once, and not at all if the path is that of an O_PATH descriptor.
   */
  override record(journal: Journal): void {
    if (this.directory.knows(this)) journal.put('matchFile', { id: this.id, name: this.name });
  }
}

/** The directory `match/`. */
export class MatchDirectory extends Directory {
  readonly mode = FileType.directory | 0o555;
  readonly #known = new Map<string, MatchFile>();

  constructor(
    readonly context: TreeContext,
    id: NodeId,
  ) {
    super(id, FOREVER);
  }

  /**
   * Finds the stream of a filter.
   * @param name the text of the filter, bytes as characters
   * @returns the file, made if the directory does not remember it
   * @throws FsError EINVAL if the name is not a filter, or has too many terms or alternatives
   */
  lookup(name: string): Node {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const { context } = this;
    parse(name, context.settings.filterLimits);
    this.#makeRoom();
    const file = new MatchFile(context.newNodeId(), this, name);
    this.#known.set(name, file);
    context.recorder?.changed(file);
    return file;
  }

  /** Makes a file of the last daemon. */
  restore(id: NodeId, name: string): StreamFile {
    const file = new MatchFile(id, this, name);
    if (!this.#known.has(name)) this.#known.set(name, file);
    return file;
  }

  /** The files that the kernel knows, for a compaction of the state. */
  get files(): Iterable<Recorded> {
    return this.#known.values();
  }

  /** Returns whether a lookup of the file's name finds this file. */
  knows(file: MatchFile): boolean {
    return this.#known.get(file.name) === file;
  }

  /** Runs after the kernel has forgotten the file. */
  forget(file: MatchFile): void {
    if (!this.knows(file)) return;
    this.#known.delete(file.name);
    this.context.recorder?.dropped(Kind.matchFile, file.id);
  }

  /**
   * Disowns one remembered file that is not open, if there are too many. Any user may look up any
   * number of names, and the kernel remembers them as long as it has memory. The kernel looks a
   * disowned file up again when a process asks for it.
   */
  #makeRoom(): void {
    if (this.#known.size < MOST_KNOWN) return;
    for (const file of this.#known.values()) {
      if (file.opens > 0) continue;
      this.forget(file);
      return this.context.disown(file);
    }
  }

  /** Lists `.` and `..` only. */
  list(offset: number, to: Listing): void {
    listDots(this.ino, ROOT_ID, offset, to);
  }

  attributes(to: Attributes): void {
    to.setFile(this.ino, this.mode, 2);
    to.setOwner(MOUNT_USER.uid, MOUNT_USER.gid);
    to.setTimes(this.born, this.born, this.born);
  }
}
