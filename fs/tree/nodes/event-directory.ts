/** A directory that is a queue: process directories and `log/`. */
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

/** Offsets of readdir: 0 is the start, 1 behind `.`, 2 behind `..`, then 3 + the position of the last event. */
const FIRST_ENTRY_OFFSET = 2;
const LAST_FIXED_OFFSET = 3;
/** FIFOs, sockets and symlinks come behind all events, however many there will have been. */
const FIRST_SPECIAL_OFFSET = 2 ** 50;
/** head and tail come last, where they are listed. */
const FIRST_LINK_OFFSET = 2 ** 51;
const ENDS: readonly End[] = ['head', 'tail'];

const FIXED_NAMES = ['head', 'tail', '.stream', '.filter', '.since', '.status'] as const;

/**
 * The names that are always there, or as long as there is an event. No event and no user's file has
 * one. Their nodes are made anew after a FORGET. So that each has the same inode number then, it is
 * the directory's own and so many more.
 */
const FIXTURES: ReadonlyMap<string, number> = new Map(FIXED_NAMES.map((name, n) => [name, n + 1]));

/** How many inode numbers a directory takes: its own, and those of what is always in it. */
export const EVENT_DIRECTORY_INODES = 1 + FIXTURES.size;

export abstract class EventDirectory
  extends Directory
  implements EventFileHost, DotFileHost, EndsHost, WatchedDirectory
{
  /** What it is called in the root. */
  abstract readonly name: string;
  abstract readonly uid: number;
  abstract readonly gid: number;
  /** The nodes of head, tail and the dot files that the kernel knows. */
  #fixtures: Map<string, Node> | null = null;
  /** FIFOs, sockets and symlinks, which are not events and not in the queue's order. */
  protected specials: Sequence<SpecialFile> | null = null;
  /** The memory that they are charged besides the price of an entry each, in bytes. */
  protected specialsHeap = 0;
  /** The files that were opened through this directory and are open, also those that are in the queue no more. */
  #openFiles: Set<EventFile> | null = null;
  /** Everything before this position has been in a listing that somebody has read to its end; -1 when nobody has. */
  protected listedTo = -1;
  /** Set once somebody has asked for its attributes who may watch it: then what is delivered has to be announced. */
  candidates: WatchCandidates | null = null;
  /** The thread that asked last, and when, as long as it may have been to watch it; or -1. */
  asker = -1;
  askedMs = 0;
  /** How often inotify was told of a delivered event. */
  noticed = 0;

  constructor(
    protected readonly context: TreeContext,
    id: NodeId,
    lifetime: Lifetime,
    readonly queue: Queue<Entry>,
  ) {
    super(id, lifetime);
  }

  /** Who holds how much of the mount. */
  get ledger(): QuotaLedger {
    return this.context.ledger;
  }

  /** The inode number of head, tail or a dot file. */
  inodeOf(name: string): number {
    return this.id + FIXTURES.get(name)!;
  }

  /** When its mode or owner was changed last: those of its dot files follow them. */
  get permitted(): Timestamp {
    return this.born;
  }

  /** The event at one end, or undefined when there is none. */
  atEnd(end: End): Entry | undefined {
    return end === 'head' ? this.queue.entries.first() : this.queue.entries.last();
  }

  lookup(name: string): Node | undefined {
    if (FIXTURES.has(name)) return this.#fixture(name);
    const entry = this.queue.entries.get(name);
    return entry === undefined ? this.specials?.get(name) : this.#fileOf(entry);
  }

  /** Makes the node of one of the names that are not listed; undefined when it is none of them. */
  protected makeFixture(name: string): Node | undefined {
    if (name !== 'head' && name !== 'tail') return undefined;
    return this.atEnd(name) === undefined
      ? undefined
      : new EndLink(this.context.newNodeId(), this, name);
  }

  #fixture(name: string): Node | undefined {
    const known = this.#fixtures?.get(name);
    if (known !== undefined)
      return known instanceof EndLink && this.atEnd(known.end) === undefined ? undefined : known;
    const made = this.makeFixture(name);
    if (made !== undefined) (this.#fixtures ??= new Map()).set(name, made);
    return made;
  }

  /** The kernel has forgotten head, tail or a dot file. */
  fixtureForgotten(name: string): void {
    this.#fixtures?.delete(name);
    if (this.#fixtures?.size === 0) this.#fixtures = null;
  }

  /** A reader is about to get what is in here: checks that no owner's death was missed. */
  beforeAnswer(): void {}

  /** The directory has ended: lets go of its own node and of those of head, tail and the dot files. */
  protected letGoOfNodes(): void {
    this.context.disown(this);
    for (const node of this.#fixtures?.values() ?? []) this.context.disown(node);
    this.#fixtures = null;
  }

  /**
   * The directory has ended: frees some of what it holds.
   * @param most how many events, FIFOs, sockets and symlinks
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

  /** False when there is no room for all of them. */
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

  /** The file called `name`, if that is an event of this queue. */
  protected eventFile(name: string): EventFile | undefined {
    const entry = this.queue.entries.get(name);
    return entry === undefined ? undefined : this.#fileOf(entry);
  }

  /** What has just been delivered is to be told of, where somebody may watch. */
  announceNewest(): void {
    if (this.candidates !== null || this.asker >= 0)
      this.context.inotify.announce(this, this.queue.entries.nextPosition - 1);
  }

  /** Takes a file that somebody has made into the queue. */
  protected join(file: EventFile): void {
    if (this.queue.add(file)) file.position = this.queue.entries.nextPosition - 1;
  }

  /** Whether the name means something else here than a file that somebody makes. */
  isReserved(name: string): boolean {
    return name === 'head' || name === 'tail';
  }

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

  protected abstract removeEntry(name: string): void;

  #unlinkSpecial(name: string): boolean {
    const file = this.takeSpecial(name);
    file?.unlinked();
    return file !== undefined;
  }

  /** Takes a FIFO, a socket or a symlink out, and refunds it. */
  protected takeSpecial(name: string): SpecialFile | undefined {
    const file = this.specials?.delete(name);
    if (file !== undefined) this.#refundSpecial(file);
    return file;
  }

  #refundSpecial({ heap }: SpecialFile): void {
    this.specialsHeap -= heap;
    this.queue.quota?.refund(1, 0, heap);
  }

  /** Puts one in, which is charged here already. */
  protected putSpecial(file: SpecialFile): void {
    (this.specials ??= new Sequence()).push(file.name, file);
    this.specialsHeap += file.heap;
  }

  /** A file has been opened by its name here. */
  fileOpened(file: EventFile): void {
    (this.#openFiles ??= new Set()).add(file);
  }

  /** Its last open file is closed, or is another directory's now. */
  fileClosed(file: EventFile): void {
    this.#openFiles?.delete(file);
  }

  /**
   * The directory has ended: what only open files of it hold is of use to nobody, for they all say ESTALE.
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

  /** Its contents have changed. */
  changed(): void {}

  /** The node of an entry: made at its first lookup, in the queue instead of the bare event until it is forgotten. */
  #fileOf(entry: Entry): EventFile {
    if (entry instanceof EventFile) return entry;
    const { entries } = this.queue;
    const file = new EventFile(this.context.newNodeId(), this, entry.name, entry.event);
    file.position = entries.positionOf(entry.name);
    entries.set(file.position, file);
    return file;
  }

  /** The kernel has forgotten a file: the bare event will do again where it has no name of its own here. */
  fileForgotten(file: EventFile): void {
    const { entries } = this.queue;
    if (file.name === file.event.name && entries.at(file.position) === file)
      entries.set(file.position, file.event);
  }

  /** A file is no longer in the queue, and nobody has it open. */
  disown(file: EventFile): void {
    this.context.disown(file);
  }

  /** A file's last writer has closed it. */
  fileComplete(): void {}

  /** An entry for an event, under its own name or, where a user has taken that, under another. */
  protected entryFor(event: Event): Entry {
    if (this.specials === null && this.queue.surelyTakes(event)) return event;
    const name = this.queue.freeName(event.name, this.specials);
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
