/** Base class of the directories that are a queue: process directories and `log/`. */
import type { Event, Timestamp } from '../../bus/event.js';
import type { Entry, Queue } from '../../bus/queue.js';
import { Sequence } from '../../bus/sequence.js';
import { Errno, FsError } from '../../shared/errors.js';
import { type End, EndLink, type EndsHost } from './end-link.js';
import { EventFile, type EventFileHost } from './event-file.js';
import {
  type Attributes,
  Directory,
  FileType,
  type Lifetime,
  type Listing,
  type Node,
  type NodeId,
  ROOT_ID,
} from './node.js';
import type { WatchCandidates, WatchedDirectory } from '../inotify-queue.js';
import type { QuotaLedger } from '../quota.js';
import type { SpecialFile } from './special-file.js';
import type { DotFileHost } from './text-file.js';
import type { TreeContext } from '../context.js';

/**
 * Offsets of readdir(3): 0 is the start, 1 is behind `.`, 2 is behind `..`. The offset behind an
 * event is 3 + its position.
 */
const FIRST_ENTRY_OFFSET = 2;
const LAST_FIXED_OFFSET = 3;
/**
 * The offsets of special files begin here: they come after all events that the queue can ever have.
 */
const FIRST_SPECIAL_OFFSET = 2 ** 50;
/** The offsets of `head` and `tail` begin here: they come last, if they are listed. */
const FIRST_LINK_OFFSET = 2 ** 51;
const ENDS: readonly End[] = ['head', 'tail'];

const FIXED_NAMES = ['head', 'tail', '.stream', '.filter', '.since', '.status'] as const;

/**
 * Maps each fixed name to the difference between its inode number and that of the directory. A
 * fixed name is always there, or while the queue has an event. No event and no file of a user has
 * one. After a FORGET the next lookup makes a new node, and the difference gives it the same inode
 * number.
 */
const FIXTURES: ReadonlyMap<string, number> = new Map(FIXED_NAMES.map((name, n) => [name, n + 1]));

/** The number of inode numbers that a directory takes: its own, and those of the fixed names. */
export const EVENT_DIRECTORY_INODES = 1 + FIXTURES.size;

/** A directory whose entries are the events of a queue. */
export abstract class EventDirectory
  extends Directory
  implements EventFileHost, DotFileHost, EndsHost, WatchedDirectory
{
  /** The name in the root. */
  abstract readonly name: string;
  abstract readonly uid: number;
  abstract readonly gid: number;
  /** The nodes of the fixed names that the kernel knows. */
  #fixtures: Map<string, Node> | null = null;
  /** The special files. They are not events and have no place in the order of the queue. */
  protected specials: Sequence<SpecialFile> | null = null;
  /** The memory that the special files are charged besides the price of an entry each, in bytes. */
  protected specialsHeap = 0;
  /**
   * The files that were opened through this directory and are still open, also those that have left
   * the queue.
   */
  #openFiles: Set<EventFile> | null = null;
  /**
   * Every entry before this position was in a listing that a process read to its end; -1 if no
   * process has done so.
   */
  protected listedTo = -1;
  /**
   * The watch candidates. Set once a thread that may watch the directory has asked for its
   * attributes: then delivered events have to be announced.
   */
  candidates: WatchCandidates | null = null;
  /**
   * The asker: the thread that last asked for the attributes, while it may be about to watch the
   * directory; else -1. `askedMs` is the time when it asked (performance.now()).
   */
  asker = -1;
  askedMs = 0;
  /** The number of delivered events that inotify was told of. */
  noticed = 0;

  /** @param queue the entries that the directory shows */
  constructor(
    protected readonly context: TreeContext,
    id: NodeId,
    lifetime: Lifetime,
    readonly queue: Queue<Entry>,
  ) {
    super(id, lifetime);
  }

  /** The ledger that says who holds how much of the mount. */
  get ledger(): QuotaLedger {
    return this.context.ledger;
  }

  /** Returns the inode number of a fixed name. */
  inodeOf(name: string): number {
    return this.id + FIXTURES.get(name)!;
  }

  /** When the mode or owner changed last. The mode and owner of the dot files follow them. */
  get permitted(): Timestamp {
    return this.born;
  }

  /** Returns the event at one end, or undefined if the queue is empty. */
  atEnd(end: End): Entry | undefined {
    return end === 'head' ? this.queue.entries.first() : this.queue.entries.last();
  }

  /**
   * Finds a fixed name, an event or a special file.
   * @param name bytes as characters
   * @returns its node, or undefined
   */
  lookup(name: string): Node | undefined {
    if (FIXTURES.has(name)) return this.#fixture(name);
    const entry = this.queue.entries.get(name);
    return entry === undefined ? this.specials?.get(name) : this.#fileOf(entry);
  }

  /**
   * Makes the node of a fixed name.
   * @returns undefined if this directory has no such name, or has it only while there is an event
   */
  protected makeFixture(name: string): Node | undefined {
    if (name !== 'head' && name !== 'tail') return undefined;
    return this.atEnd(name) === undefined
      ? undefined
      : new EndLink(this.context.newNodeId(), this, name);
  }

  /**
   * Returns the known node of a fixed name, or makes it; undefined if the name does not exist now.
   */
  #fixture(name: string): Node | undefined {
    const known = this.#fixtures?.get(name);
    if (known !== undefined)
      return known instanceof EndLink && this.atEnd(known.end) === undefined ? undefined : known;
    const made = this.makeFixture(name);
    if (made !== undefined) (this.#fixtures ??= new Map()).set(name, made);
    return made;
  }

  /** Runs after the kernel has forgotten the node of a fixed name. */
  fixtureForgotten(name: string): void {
    this.#fixtures?.delete(name);
    if (this.#fixtures?.size === 0) this.#fixtures = null;
  }

  /** Checks, before a reader gets what the directory holds, that no owner's death was missed. */
  beforeAnswer(): void {}

  /**
   * Disowns the nodes of the directory itself and of the fixed names, after the directory has
   * ended.
   */
  protected letGoOfNodes(): void {
    this.context.disown(this);
    for (const node of this.#fixtures?.values() ?? []) this.context.disown(node);
    this.#fixtures = null;
  }

  /**
   * Frees some of what the directory holds, after it has ended.
   * @param most the most events, special files and open files to free in this call
   * @returns whether nothing is left
   */
  protected freeSome(most: number): boolean {
    const { context, queue, specials } = this;
    for (let left = most; left > 0; left--) {
      const entry = queue.shift();
      if (entry instanceof EventFile) context.disown(entry);
      if (entry !== undefined) continue;
      const file = specials?.shift();
      if (file === undefined) {
        this.specials = null;
        return this.#closeSomeFiles(left);
      }
      context.disown(file);
      this.#refundSpecial(file);
    }
    return false;
  }

  override get listingEnd(): number {
    return this.queue.entries.nextPosition;
  }

  /**
   * readdir(3). Events come first, then special files, then `head` and `tail` if `list_links` is
   * set.
   */
  list(offset: number, to: Listing, end = this.listingEnd): void {
    if (offset < 1 && !to.add(this.ino, FileType.directory, '.', 1)) return;
    if (
      offset < FIRST_ENTRY_OFFSET &&
      !to.add(ROOT_ID, FileType.directory, '..', FIRST_ENTRY_OFFSET)
    )
      return;
    const { entries } = this.queue;
    let position =
      offset >= FIRST_SPECIAL_OFFSET
        ? -1
        : entries.seek(Math.max(0, offset - LAST_FIXED_OFFSET + 1));
    for (; position >= 0 && position < end; position = entries.seek(position + 1)) {
      const entry = entries.at(position)!;
      if (!to.add(entry.event.ino, FileType.regular, entry.name, position + LAST_FIXED_OFFSET))
        return;
    }
    this.listedTo = Math.max(this.listedTo, end);
    if (!this.#listSpecials(offset, to) || !this.context.settings.listsLinks) return;
    for (let n = Math.max(0, offset - FIRST_LINK_OFFSET); n < ENDS.length; n++) {
      if (this.atEnd(ENDS[n]) === undefined) return;
      if (!to.add(this.inodeOf(ENDS[n]), FileType.symlink, ENDS[n], FIRST_LINK_OFFSET + n + 1))
        return;
    }
  }

  /** @returns false if there is no room for all of them */
  #listSpecials(offset: number, to: Listing): boolean {
    const { specials } = this;
    if (specials === null) return true;
    let position = specials.seek(Math.max(0, offset - FIRST_SPECIAL_OFFSET));
    for (; position >= 0; position = specials.seek(position + 1)) {
      const file = specials.at(position)!;
      if (!to.add(file.ino, file.type, file.name, FIRST_SPECIAL_OFFSET + position + 1))
        return false;
    }
    return true;
  }

  /** Returns the file of an event in this queue, or undefined. */
  protected eventFile(name: string): EventFile | undefined {
    const entry = this.queue.entries.get(name);
    return entry === undefined ? undefined : this.#fileOf(entry);
  }

  /** Queues the newest event for the notifier, if a process may watch the directory. */
  announceNewest(): void {
    if (this.candidates !== null || this.asker >= 0)
      this.context.inotify.announce(this, this.queue.entries.nextPosition - 1);
  }

  /** Adds a file that a user made to the end of the queue. */
  protected join(file: EventFile): void {
    if (this.queue.add(file)) file.position = this.queue.entries.nextPosition - 1;
  }

  /** Whether the name has a meaning here, so that a user's file cannot have it. */
  isReserved(name: string): boolean {
    return name === 'head' || name === 'tail';
  }

  /**
   * unlink(2). The names `head` and `tail` remove the event that they lead to.
   * @throws FsError ENOENT if no entry has the name, EPERM for a dot file and where `removeEntry`
   * refuses
   */
  override unlink(name: string): void {
    const entry =
      name === 'head' || name === 'tail' ? this.atEnd(name) : this.queue.entries.get(name);
    if (entry !== undefined) this.removeEntry(entry.name);
    else if (this.#unlinkSpecial(name)) this.changed();
    else if (this.#fixture(name) !== undefined)
      throw new FsError(Errno.EPERM, `${name} is always there`);
    else throw new FsError(Errno.ENOENT, 'nothing in the queue has that name');
  }

  override whyNotFound(name: string): string {
    return name === 'head' || name === 'tail'
      ? 'the queue is empty'
      : 'nothing in the queue has that name';
  }

  /**
   * Removes an event for unlink(2).
   * @param name its name in this directory
   * @throws FsError EPERM if no user may remove it
   */
  protected abstract removeEntry(name: string): void;

  /** @returns whether there was such a special file */
  #unlinkSpecial(name: string): boolean {
    const file = this.takeSpecial(name);
    file?.unlinked();
    return file !== undefined;
  }

  /**
   * Takes a special file out and refunds it.
   * @returns the file, or undefined if no special file has that name
   */
  protected takeSpecial(name: string): SpecialFile | undefined {
    const file = this.specials?.delete(name);
    if (file !== undefined) this.#refundSpecial(file);
    return file;
  }

  #refundSpecial({ heap }: SpecialFile): void {
    this.specialsHeap -= heap;
    this.queue.quota?.refund(1, 0, heap);
  }

  /** Puts a special file in. The caller has already charged the account for it. */
  protected putSpecial(file: SpecialFile): void {
    (this.specials ??= new Sequence()).push(file.name, file);
    this.specialsHeap += file.heap;
  }

  /** Runs when a file is opened by its name here. */
  fileOpened(file: EventFile): void {
    (this.#openFiles ??= new Set()).add(file);
  }

  /** Runs when the last handle of a file is closed, or the file moves to another directory. */
  fileClosed(file: EventFile): void {
    this.#openFiles?.delete(file);
  }

  /**
   * Frees events that only open files of this ended directory hold. No process can use them,
   * because every request for such a file fails with ESTALE.
   * @param most the most files
   * @returns whether none is left
   */
  #closeSomeFiles(most: number): boolean {
    let left = most;
    for (const file of this.#openFiles ?? []) {
      if (left-- === 0) return false;
      this.#openFiles!.delete(file);
      file.closeEarly();
    }
    this.#openFiles = null;
    return true;
  }

  /** Runs after the contents have changed. */
  changed(): void {}

  /**
   * Returns the node of an entry, made at its first lookup. It stays in the queue instead of the
   * bare event until the kernel forgets it.
   */
  #fileOf(entry: Entry): EventFile {
    if (entry instanceof EventFile) return entry;
    const { entries } = this.queue;
    const file = new EventFile(this.context.newNodeId(), this, entry.name, entry.event);
    file.position = entries.positionOf(entry.name);
    entries.set(file.position, file);
    return file;
  }

  /**
   * Runs after the kernel has forgotten a file. If the file has the name of its event, the bare
   * event takes its place in the queue again.
   */
  fileForgotten(file: EventFile): void {
    const { entries } = this.queue;
    if (file.name === file.event.name && entries.at(file.position) === file)
      entries.set(file.position, file.event);
  }

  /** Drops the node of a file that is neither in the queue nor open. */
  disown(file: EventFile): void {
    this.context.disown(file);
  }

  /** Runs when the last writer of a file has closed it. */
  fileComplete(): void {}

  /**
   * Returns an entry for an event: under its own name, or under another if a user has taken that
   * name.
   */
  protected entryFor(event: Event): Entry {
    if (this.specials === null && this.queue.surelyTakes(event)) return event;
    const name = this.queue.entries.freeName(event.name, this.specials);
    return name === event.name ? event : new EventFile(this.context.newNodeId(), this, name, event);
  }

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = 0;
    to.mode = this.mode;
    to.nlink = 2;
    to.uid = this.uid;
    to.gid = this.gid;
    to.atime = to.mtime = to.ctime = this.born;
  }
}
