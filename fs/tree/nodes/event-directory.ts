/** Base class of the directories that are a queue: process directories and `log/`. */
import type { Event, LogIndex } from '../../bus/event.js';
import type { Timestamp } from '../../shared/timestamp.js';
import type { Entry, Queue } from '../../bus/queue.js';
import { freeName } from '../../bus/queue/free-name.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Attributes } from './attributes.js';
import { type Listing, listDots } from './directory.js';
import { EventFile, type EventFileHost } from './event-file.js';
import { closeSomeEarly } from './open-file/close-early.js';
import { listEnds, listEvents, listSpecials, offsetsBehind } from './listing/event-listing.js';
import type { End } from './fixed/end-link.js';
import { isFixedName } from './fixed/fixed-names.js';
import { FixtureDirectory } from './fixed/fixture-directory.js';
import type { DotFileHost } from './fixed/text-file.js';
import { type Lifetime, type Node, type NodeId, ROOT_ID } from './node.js';
import { QueueRecord } from '../restore/queue-record.js';
import type { Recorder } from '../../state/recorder.js';
import { WatchState, type WatchedDirectory } from '../inotify/watch-state.js';
import type { QuotaLedger } from '../quota/ledger.js';
import { SpecialFiles } from './special-files.js';
import type { TreeContext } from '../context.js';

const NO_ENTRY = 'no event and no special file has that name';

/** A directory whose entries are the events of a queue. */
export abstract class EventDirectory
  extends FixtureDirectory
  implements EventFileHost, DotFileHost, WatchedDirectory
{
  /** The name in the root. */
  abstract readonly name: string;
  /** The name by which the notifier finds the directory in the root. */
  get nameForNotifier(): string {
    return this.name;
  }
  /** Null until a user makes the first one. */
  #specials: SpecialFiles | null = null;
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
  /** Records the queue; null if there will be no later daemon. */
  readonly queueRecord: QueueRecord | null = null;
  #watch: WatchState | null = null;

  /** @param queue the entries that the directory shows */
  constructor(
    context: TreeContext,
    id: NodeId,
    lifetime: Lifetime,
    readonly queue: Queue<Entry>,
    born?: Timestamp,
  ) {
    super(context, id, lifetime, born);
    const { recorder } = context;
    if (recorder !== null) queue.journal = this.queueRecord = this.recordQueue(recorder);
  }

  /** Makes the record of the queue. */
  protected recordQueue(recorder: Recorder): QueueRecord {
    return new QueueRecord(recorder, this.id, this.queue, this);
  }

  /** Marks the directory: the next commit records it. */
  protected recordChange(): void {}

  /** The directory's user and group may read a delivered event. */
  get deliveredMode(): number {
    return 0o440;
  }

  /** The accounts of all users, of all groups and of the mount. */
  get ledger(): QuotaLedger {
    return this.context.ledger;
  }

  /** The FIFOs, sockets and symlinks; null if a user has made none. */
  get specials(): SpecialFiles | null {
    return this.#specials;
  }

  /** The state of the inotify watches; null until a thread asks for the attributes. */
  get watch(): WatchState | null {
    return this.#watch;
  }

  /** Returns `watch`, made if it is null. */
  startWatch(): WatchState {
    return (this.#watch ??= new WatchState());
  }

  /** When the contents changed last. */
  get modified(): Timestamp {
    return this.born;
  }

  /** When the contents or an attribute changed last. */
  get statusChanged(): Timestamp {
    return this.born;
  }

  /** The number of the next event of the log. */
  get nextEvent(): LogIndex {
    return this.context.bus.log.next;
  }

  /** When the mode or owner changed last. The mode and owner of the dot files follow them. */
  get permitted(): Timestamp {
    return this.born;
  }

  override atEnd(end: End): Entry | undefined {
    return end === 'head' ? this.queue.entries.first() : this.queue.entries.last();
  }

  /**
   * Finds a fixed name, an event or a special file.
   * @param name bytes as characters
   * @returns its node, or undefined
   */
  lookup(name: string): Node | undefined {
    if (isFixedName(name)) return this.fixture(name);
    const entry = this.queue.entries.get(name);
    return entry === undefined ? this.#specials?.get(name) : this.#fileOf(entry);
  }

  /** Checks, before a reader gets what the directory holds, that no owner's death was missed. */
  beforeAnswer(): void {}

  /**
   * Frees some of what the directory holds, after it has ended. Returns whether nothing is left.
   * @param most the most events, special files and open files to free
   * @param mostText the most bytes of text to free; the last event may exceed it
   */
  protected freeSome(most: number, mostText: number): boolean {
    const { context, queue } = this;
    for (let left = most, least = queue.bytes - mostText; left > 0 && queue.bytes > least; left--) {
      const entry = queue.shift();
      if (entry instanceof EventFile) context.disown(entry);
      if (entry !== undefined) continue;
      const file = this.#specials?.shift();
      if (file === undefined) {
        this.#specials = null;
        return this.#openFiles === null || this.#closeSomeEarly(this.#openFiles, left, mostText);
      }
      context.disown(file);
    }
    return false;
  }

  #closeSomeEarly(files: Set<EventFile>, most: number, mostText: number): boolean {
    const isDone = closeSomeEarly(files, most, mostText);
    if (isDone) this.#openFiles = null;
    this.context.deliveries.settleAlone(); // other queues may hold a file that is complete now
    return isDone;
  }

  override get listingEnd(): number {
    return this.queue.entries.nextPosition;
  }

  /**
   * readdir(3). Events come first, then special files, then `head` and `tail` if `list_links` is
   * set.
   */
  list(offset: number, to: Listing, end = this.listingEnd): void {
    if (!listDots(this.ino, ROOT_ID, offset, to)) return;
    const { entries } = this.queue;
    const specials = this.#specials?.entries;
    const later = offsetsBehind(entries, specials);
    if (!listEvents(entries, offset, to, end, later)) return;
    if (end > this.listedTo) {
      this.listedTo = end;
      this.recordChange();
    }
    if (specials !== undefined && !listSpecials(specials, offset, to, later)) return;
    if (this.context.settings.listsLinks && entries.size > 0) listEnds(this.id, offset, to, later);
  }

  /** Returns the file of an event in this queue, or undefined. */
  protected eventFile(name: string): EventFile | undefined {
    const entry = this.queue.entries.get(name);
    return entry === undefined ? undefined : this.#fileOf(entry);
  }

  /** Queues the newest event for the notifier, if a process may watch the directory. */
  announceNewest(): void {
    if (this.#watch !== null)
      this.context.inotify.announce(this, this.queue.entries.nextPosition - 1);
  }

  /** Adds a file that a user made to the end of the queue. */
  protected join(file: EventFile): void {
    if (this.queue.add(file)) file.position = this.queue.entries.nextPosition - 1;
  }

  /**
   * unlink(2). The names `head` and `tail` remove the event that they lead to.
   * @throws FsError ENOENT if no entry has the name, EPERM for a dot file and where `removeEntry`
   * refuses
   */
  override unlink(name: string): void {
    const entry =
      name === 'head' || name === 'tail' ? this.atEnd(name) : this.queue.entries.get(name);
    if (entry !== undefined) {
      this.removeEntry(entry.name);
      if (!(entry instanceof EventFile)) return;
      return entry.opens > 0 ? entry.dropped() : this.unlinkedFiles.add(entry);
    }
    const file = this.#specials?.take(name);
    if (file === undefined)
      throw this.fixture(name) === undefined
        ? new FsError(Errno.ENOENT, NO_ENTRY)
        : new FsError(Errno.EPERM, 'a name that the directory always has cannot be removed');
    file.unlinked(this.unlinkedFiles);
    this.changed();
  }

  override whyNotFound(name: string): string {
    return name === 'head' || name === 'tail' ? 'the queue is empty' : NO_ENTRY;
  }

  /**
   * Removes an event for unlink(2).
   * @param name its name in this directory
   * @throws FsError EPERM if no user may remove it
   */
  protected abstract removeEntry(name: string): void;

  /** Returns the special files, for a file that the caller is about to add. */
  specialsToFill(): SpecialFiles {
    return (this.#specials ??= new SpecialFiles(this.queue, this.id, this.context.recorder));
  }

  /** Runs when a file is opened by its name here. */
  fileOpened(file: EventFile): void {
    (this.#openFiles ??= new Set()).add(file);
  }

  /** Runs when the last handle of a file is closed, or the file moves to another directory. */
  fileClosed(file: EventFile): void {
    this.#openFiles?.delete(file);
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
    this.queueRecord?.linked(file.position, file);
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
    this.unlinkedForgotten(file);
  }

  /** Drops the node of a file that is neither in the queue nor open. */
  disown(file: EventFile): void {
    this.context.disown(file);
  }

  /** Runs when the last writer of a file has closed it. */
  fileComplete(): void {}

  /** Returns an entry for an event: under its own name, or another if a user has taken that one. */
  entryFor(event: Event): Entry {
    if (this.#specials === null && this.queue.surelyTakes(event)) return event;
    const name = freeName(event.name, this.queue.entries, this.#specials?.entries);
    return name === event.name ? event : new EventFile(this.context.newNodeId(), this, name, event);
  }

  attributes(to: Attributes): void {
    to.setFile(this.ino, this.mode, 2);
    to.setOwner(this.uid, this.gid);
    to.setTimes(this.born, this.born, this.born);
  }
}
