/**
 * Process directories. A process directory belongs to one process, is a queue, and ends with the
 * process.
 */
import { type Event, type LogIndex, type Timestamp, heapOf, now } from '../../bus/event.js';
import type { SeqNum } from '../../uevent/text.js';
import type { Filter, FilterLimits } from '../../uevent/filter/filter.js';
import { Queue } from '../../bus/queue.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Caller, Mortal, Owner } from '../../owners/owners.js';
import { quoted } from '../../shared/escape.js';
import { EventDirectory } from './event-directory.js';
import { EventFile } from './event-file.js';
import type { Recipient } from '../deliveries.js';
import type { Ghost } from '../inotify-queue.js';
import { EVERYTHING, chargeFilter, parse, refundFilter } from '../filter-charge.js';
import { FilterFile, type FilteredDirectory, type UnparsedFilter } from './filter-file.js';
import {
  type AttributeChanges,
  type Attributes,
  type Directory,
  FileType,
  type Handle,
  Lifetime,
  type Node,
  type NodeId,
  TYPE_MASK,
} from './node.js';
import { type ReplayingDirectory, SinceFile } from './since-file.js';
import { LINK_BYTES, WRITTEN_EVENT_BYTES, directoryPrice } from '../prices.js';
import type { QuotaAccount } from '../quota.js';
import { SpecialFile, SymlinkFile } from './special-file.js';
import { type QueueDirectory, QueueReaders, QueueStreamFile } from '../streams/queue-stream.js';
import { StatusFile } from './text-file.js';
import type { StatusLines } from '../../shared/status-lines.js';
import type { TreeContext } from '../context.js';
import type { Task } from '../turns.js';
import { WrittenEvent } from '../written-event.js';

const S_ISGID = 0o2000;

/**
 * A replay (see `.since`) matches its whole history if that costs no more than this, in the units
 * of filter cost. Otherwise it matches as much as it can in MOST_REPLAY_MS milliseconds.
 */
const MOST_REPLAY_COST = 32_768;
const MOST_REPLAY_MS = 5;

/** The extended attributes (xattr(7)). */
const STICKY = 'user.eventfs_sticky';
const FILTER = 'user.eventfs.filter';
/**
 * The attributes that a process can read. A Map, because callers choose the names: in an object
 * `constructor` would be found too.
 */
const READABLE: ReadonlyMap<string, (directory: ProcessDirectory) => string> = new Map([
  [FILTER, ({ filter }: ProcessDirectory) => filter.text],
  ['user.eventfs.owner', ({ owner }: ProcessDirectory) => String(owner.pid)],
  ['user.eventfs.pending', ({ queue }: ProcessDirectory) => String(queue.entries.size)],
  ['user.eventfs.lost', ({ queue }: ProcessDirectory) => String(queue.lost)],
]);

/** How much of an ended directory one step handles: about 10 us of work. */
const READERS_A_STEP = 8;
const EVENTS_A_STEP = 32;

/** The parent that ends the directories: the root. */
export interface DirectoryParent {
  /** Ends a directory whose owner is dead and that is not sticky. */
  ownerDied(directory: ProcessDirectory): void;
}

/** A directory that belongs to one process and ends with it. */
export class ProcessDirectory
  extends EventDirectory
  implements Mortal, Task, Recipient, Ghost, FilteredDirectory, ReplayingDirectory, QueueDirectory
{
  filter: Filter = EVERYTHING;
  /** The open `.filter` that was written last, until something else sets the filter. */
  lastWriter: UnparsedFilter | null = null;
  readonly readers = new QueueReaders();
  mode: number;
  uid: number;
  gid: number;
  /** The account that the directory and its contents are charged to. */
  #account: QuotaAccount;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;
  /** When the mode or owner changed last. */
  #permitted: Timestamp = this.born;
  /** When the filter was set last. */
  filtered: Timestamp = this.born;
  /** When `beginsAfter` was set last. */
  replayed: Timestamp = this.born;
  /** The number in the log of the first event that the queue was offered. */
  #begins: LogIndex;
  /** The kernel's last SEQNUM before that event. */
  beginsAfter: SeqNum;
  /** Whether the directory stays after its owner has died. */
  #sticky = false;
  /** Whether the owner is dead. */
  #orphaned = false;
  /**
   * Whether the first `step` after the end has run: the directory gets no events, and the tree has
   * disowned its nodes.
   */
  #isDetached = false;

  /**
   * @param parent ends the directory when its owner dies
   * @param name bytes as characters
   * @param owner the process that the directory belongs to
   * @param mode permissions
   * @param account the account to charge; its uid and gid are those of the directory
   */
  constructor(
    context: TreeContext,
    private readonly parent: DirectoryParent,
    id: NodeId,
    override readonly name: string,
    readonly owner: Owner,
    mode: number,
    account: QuotaAccount,
    /** The uid of the user that made the directory. chown(2) does not change it. */
    readonly madeBy: number,
  ) {
    super(
      context,
      id,
      new Lifetime(),
      new Queue(context.settings.queueLimits, account, () => this.fileComplete()),
    );
    this.#account = account;
    this.uid = account.uid;
    this.gid = account.gid;
    this.mode = FileType.directory | (mode & 0o7777);
    this.#begins = context.bus.log.next;
    this.beginsAfter = context.bus.lastSeqnum;
  }

  /**
   * Takes an event. If the filter matches, the queue links the event, or counts a loss if it has no
   * room.
   */
  deliver(event: Event): void {
    if (this.lifetime.over || !this.#wants(event)) return;
    this.context.drainCheck.dataCame();
    const entry = this.entryFor(event);
    const isAdded = this.queue.add(entry);
    if (isAdded) this.announceNewest();
    this.#modified = this.#changed = event.time;
    if (this.readers.any) this.unsettle();
  }

  /**
   * Links the kept events that came after the kernel's event `seqnum` into the queue, before all
   * others. It leaves out those that the queue was offered already. Events that are no longer kept
   * count as lost, whether or not the filter would match. If the filter is so costly that matching
   * all kept events would hold the daemon for too long, the oldest count as lost too.
   * @param seqnum a SEQNUM; one later than `beginsAfter` changes nothing
   */
  replay(seqnum: SeqNum): void {
    if (seqnum > this.beginsAfter) return;
    const { first, events, lost } = this.context.bus.since(seqnum, this.beginsAfter, this.#begins);
    const { wanted, skipped } = this.#wantedOf(events);
    const joined = this.queue.prepend(
      wanted.map((event) => this.entryFor(event)),
      lost + skipped,
    );
    const { firstPosition } = this.queue.entries;
    joined.forEach((_, at) => this.context.inotify.announce(this, firstPosition + at));
    this.#begins = first;
    this.beginsAfter = seqnum;
    this.replayed = now();
    this.changed();
    this.fileComplete();
  }

  /**
   * Returns the events that the filter matches and the queue does not hold, and how many events
   * were skipped without a match. It goes from the newest to the oldest.
   */
  #wantedOf(events: readonly Event[]): {
    readonly wanted: readonly Event[];
    readonly skipped: number;
  } {
    const wanted: Event[] = [];
    const startMs = performance.now();
    let cost = 0;
    let skipped = 0;
    for (const event of events.toReversed()) {
      if (this.queue.entries.get(event.name)?.event === event) continue;
      cost += this.filter.costOf(event.length);
      if (
        cost > MOST_REPLAY_COST &&
        (skipped > 0 || performance.now() - startMs > MOST_REPLAY_MS)
      ) {
        skipped += event.weight;
        continue;
      }
      if (this.#wants(event)) wanted.push(event);
      event.dropCaches();
    }
    return { wanted: wanted.reverse(), skipped };
  }

  /** Whether the directory takes an event. */
  #wants(event: Event): boolean {
    return this.filter.all || event.always || this.filter.matches(event);
  }

  /** The number in the log of the first event that readers have not been woken for. */
  get settledBefore(): LogIndex {
    return this.context.streams.settled;
  }

  /** Marks the directory, so that its blocked readers are answered at the next wake-up. */
  unsettle(): void {
    this.context.deliveries.settleLater(this);
  }

  /** Whether a reader or a poller waits for events of this directory. */
  get isAwaited(): boolean {
    return this.readers.any;
  }

  /**
   * Answers blocked reads with the events in the queue, and wakes pollers.
   * @param most the most reads to answer
   * @returns how many it answered
   */
  settle(most: number): number {
    return this.readers.settle(this.context.port, this.queue.complete, most);
  }

  /** The size limits of a filter. */
  get limits(): FilterLimits {
    return this.context.settings.filterLimits;
  }

  /** Logs a warning through the logger of the daemon. */
  warn(message: string): void {
    this.context.logger.warn(message);
  }

  /**
   * Sets the filter and adapts the charge.
   * @param writer the open `.filter` that sets it
   * @throws FsError EDQUOT or ENOSPC if the filter costs too much; then the old one stays
   */
  setFilter(filter: Filter, writer: UnparsedFilter | null = null): void {
    chargeFilter(this.#account, filter, this.filter);
    const { deliveries } = this.context;
    deliveries.withdraw(this);
    this.filter = filter;
    this.filtered = now();
    deliveries.add(this);
    this.lastWriter = writer;
    deliveries.parsed(this);
  }

  /**
   * Schedules the parsing of a written filter before the next event. An unparsed filter of another
   * open `.filter` is parsed at once.
   * @param writer the open `.filter` that holds its text
   */
  parseLater(writer: UnparsedFilter): void {
    if (this.lastWriter !== writer) this.parseUnparsed();
    this.lastWriter = writer;
    this.context.deliveries.parseLater(this);
  }

  /** Parses the filter that was written and not parsed yet, if there is one. */
  parseUnparsed(): void {
    if (this.context.deliveries.parsed(this) && !this.lifetime.over) this.lastWriter?.parseNow();
  }

  /** Runs when an open `.filter` is closed: parses its text if that is not done yet. */
  writerGone(writer: UnparsedFilter): void {
    if (this.lastWriter !== writer) return;
    this.parseUnparsed();
    this.lastWriter = null;
  }

  /** The memory charged for the directory and its contents, in bytes. */
  get #heldMemory(): number {
    const { queue } = this;
    const events = queue.entries.size + (this.specials?.size ?? 0);
    return (
      this.#ownHeap + this.filter.memory + events * LINK_BYTES + queue.heap + this.specialsHeap
    );
  }

  /** The memory charged for the directory itself, in bytes. */
  get #ownHeap(): number {
    return directoryPrice(this.name).memory;
  }

  protected override makeFixture(name: string): Node | undefined {
    switch (name) {
      case '.stream':
        return new QueueStreamFile(this.context.newNodeId(), this, name);
      case '.filter':
        return new FilterFile(this.context.newNodeId(), this, name);
      case '.since':
        return new SinceFile(this.context.newNodeId(), this, name);
      case '.status':
        return new StatusFile(this.context.newNodeId(), this, name);
      default:
        return super.makeFixture(name);
    }
  }

  /**
   * open(2) with O_CREAT. The file joins the end of the queue now, and streams take it once it is
   * closed.
   * @throws FsError EPERM for a reserved name; EDQUOT or ENOSPC
   */
  override create(name: string, mode: number, flags: number, caller: Caller): Handle {
    const file = this.#addFile(name, mode, caller);
    const handle = file.open(flags, caller);
    if (file.event.complete) this.fileComplete(); // opened for reading only: no writer to wait for
    return handle;
  }

  /**
   * mknod(2), bind(2). A regular file is an event; a FIFO or socket is not.
   * @throws FsError EPERM for a device or a reserved name; EDQUOT or ENOSPC
   */
  override mknod(name: string, mode: number, caller: Caller): Node {
    const type = mode & TYPE_MASK;
    if (type === FileType.regular) {
      const file = this.#addFile(name, mode, caller);
      this.fileComplete();
      return file;
    }
    if (type !== FileType.fifo && type !== FileType.socket)
      throw new FsError(Errno.EPERM, 'no devices can be made here');
    this.#refuseReserved(name);
    return this.#addSpecial(
      new SpecialFile(
        this.context.newNodeId(),
        this.lifetime,
        name,
        mode,
        this.#ownersOfNew(caller),
      ),
    );
  }

  /**
   * symlink(2).
   * @throws FsError EEXIST for `head` and `tail`, also while the queue is empty; EDQUOT or ENOSPC
   */
  override symlink(name: string, target: string, caller: Caller): Node {
    if (this.isReserved(name)) throw new FsError(Errno.EEXIST, `${name} has a meaning here`);
    return this.#addSpecial(
      new SymlinkFile(
        this.context.newNodeId(),
        this.lifetime,
        name,
        target,
        this.#ownersOfNew(caller),
      ),
    );
  }

  /**
   * Charges a special file and puts it in.
   * @throws FsError EDQUOT or ENOSPC
   */
  #addSpecial(file: SpecialFile): SpecialFile {
    this.#account.assertFits(1, 0, file.heap);
    this.#account.forceCharge(1, 0, file.heap);
    this.putSpecial(file);
    this.changed();
    return file;
  }

  /**
   * Makes an empty written event and adds it to the end of the queue.
   * @throws FsError EPERM for a reserved name; EDQUOT or ENOSPC
   */
  #addFile(name: string, mode: number, caller: Caller): EventFile {
    this.#refuseReserved(name);
    this.#demand(1, 0, name.length + WRITTEN_EVENT_BYTES);
    const { uid, gid } = this.#ownersOfNew(caller);
    const event = new WrittenEvent(
      this.context.bus.log.arena,
      name,
      this.context.newInode(),
      mode,
      uid,
      gid,
    );
    const file = new EventFile(this.context.newNodeId(), this, name, event);
    this.join(file);
    this.changed();
    return file;
  }

  /**
   * Refuses an entry of a user that does not fit, instead of dropping it without telling the user.
   * @param bytes the bytes of text
   * @param heap the memory besides the price of an entry each, in bytes
   * @throws FsError EDQUOT or ENOSPC
   */
  #demand(events: number, bytes: number, heap: number): void {
    this.#refuseFull(events, bytes);
    this.#account.assertFits(events, bytes, heap);
  }

  /**
   * Refuses an entry if the queue has no room for it and does not drop its oldest event.
   * @throws FsError EDQUOT
   */
  #refuseFull(events: number, bytes: number): void {
    const { queue } = this;
    if (!queue.refuses(events, bytes)) return;
    const { limits, entries } = queue;
    const held = `${entries.size} of ${limits.events} events and ${queue.bytes} of ${limits.bytes} bytes`;
    throw new FsError(Errno.EDQUOT, `the queue holds ${held}`);
  }

  /** As `#demand`, for a file that comes from another directory and replaces `taken` here. */
  #demandFrom(
    from: ProcessDirectory,
    file: EventFile | SpecialFile,
    taken: Node | undefined,
    newName: string,
  ): void {
    const event = file instanceof EventFile ? file.event : undefined;
    const replaced = taken instanceof EventFile ? taken.event : undefined;
    const bytes = (event?.length ?? 0) - (replaced?.length ?? 0);
    if (event !== undefined) this.#refuseFull(replaced === undefined ? 1 : 0, bytes);
    const heap =
      this.#heapOf(file, newName) - (taken === undefined ? 0 : this.#heapOf(taken, newName));
    this.#account.assertFitsFrom(from.#account, taken === undefined ? 1 : 0, bytes, heap);
  }

  /** Returns the memory of an entry under a name besides the price of an entry, in bytes. */
  #heapOf(node: Node, name: string): number {
    if (node instanceof EventFile) return heapOf(name, node.event);
    return node instanceof SpecialFile ? node.heapAs(name) : name.length;
  }

  /**
   * Returns the owner of a new file. A directory with the set-group-ID bit passes its own group on
   * (inode(7)).
   */
  #ownersOfNew({ uid, gid }: Caller): { uid: number; gid: number } {
    return { uid, gid: (this.mode & S_ISGID) !== 0 ? this.gid : gid };
  }

  /** @throws FsError EPERM if the name has a meaning here */
  #refuseReserved(name: string): void {
    if (this.isReserved(name)) throw new FsError(Errno.EPERM, `${name} has a meaning here`);
  }

  /**
   * link(2). The event joins the end of this queue too; its bytes are not copied.
   * @throws FsError EPERM for a special file or a reserved name; ENOENT if no queue holds the event
   * any more; EDQUOT or ENOSPC
   */
  override link(name: string, node: Node): EventFile {
    if (!(node instanceof EventFile)) throw new FsError(Errno.EPERM, 'only events can be linked');
    const { event } = node;
    if (event.links === 0) throw new FsError(Errno.ENOENT, 'the event is gone');
    this.#refuseReserved(name);
    this.#demand(1, event.length, heapOf(name, event));
    const file = new EventFile(this.context.newNodeId(), this, name, event);
    // The queue may drop its oldest entry to make room, and that may be the only link to this
    // event.
    event.opens++;
    this.join(file);
    event.close();
    this.changed();
    this.fileComplete();
    return file;
  }

  /**
   * rename(2). Within the directory an event keeps its place; in another one it goes to the end.
   * @throws FsError EPERM for a fixed or reserved name, or a target that is not a process
   * directory; ENOENT; EEXIST with `noReplace`; EDQUOT or ENOSPC; and the errors of `unlink` for a
   * file that it replaces
   */
  override rename(name: string, to: Directory, newName: string, noReplace: boolean): void {
    if (!(to instanceof ProcessDirectory))
      throw new FsError(Errno.EPERM, 'events stay in process directories');
    to.#refuseReserved(newName);
    const file = this.eventFile(name) ?? this.specials?.get(name);
    if (file === undefined) {
      throw new FsError(
        this.lookup(name) === undefined ? Errno.ENOENT : Errno.EPERM,
        `${name} stays where it is`,
      );
    }
    const taken = to.lookup(newName);
    if (taken !== undefined) {
      if (noReplace) throw new FsError(Errno.EEXIST, 'the new name is taken (RENAME_NOREPLACE)');
      if (taken === file) return;
      // Both names are links to one event: rename(2) leaves both.
      if (taken instanceof EventFile && file instanceof EventFile && taken.event === file.event)
        return;
    }
    if (to !== this) to.#demandFrom(this, file, taken, newName);
    else if (taken === undefined) this.#account.assertFits(0, 0, newName.length - name.length);
    if (taken !== undefined) to.unlink(newName);
    if (file instanceof EventFile) this.#renameEvent(file, name, to, newName);
    else this.#renameSpecial(file, name, to, newName);
    this.changed();
    to.changed();
  }

  #renameEvent(file: EventFile, name: string, to: ProcessDirectory, newName: string): void {
    // The index must know the file by its old name until the queue renames or moves the entry.
    this.queue.entries.index();
    file.moveTo(to, newName);
    if (to === this) return this.queue.rename(name, newName);
    this.queue.moveTo(to.queue, name);
    file.position = to.queue.entries.nextPosition - 1;
    to.fileComplete();
  }

  #renameSpecial(file: SpecialFile, name: string, to: ProcessDirectory, newName: string): void {
    if (to === this) {
      const longer = file.heapAs(newName) - file.heap;
      file.moveTo(newName, this.lifetime);
      this.specialsHeap += longer;
      this.#account.forceCharge(0, 0, longer);
      return this.specials!.rename(name, newName);
    }
    this.takeSpecial(name);
    file.moveTo(newName, to.lifetime);
    to.#account.forceCharge(1, 0, file.heap);
    to.putSpecial(file);
  }

  /**
   * Runs when streams can take events that they could not take before. Arranges that blocked
   * readers are answered.
   */
  override fileComplete(): void {
    if (this.lifetime.over) return;
    this.context.drainCheck.dataCame();
    if (!this.readers.any) return;
    this.unsettle();
    this.context.bus.settleLater();
  }

  /** unlink(2) of an event. */
  protected override removeEntry(name: string): void {
    this.queue.remove(name);
    this.changed();
  }

  override listXattrs(): readonly string[] {
    return [...READABLE.keys(), ...(this.#sticky ? [STICKY] : [])];
  }

  /**
   * getxattr(2). The value of sticky is empty.
   * @throws FsError ENODATA if the directory has no attribute of that name
   */
  override getXattr(name: string): string {
    if (name === STICKY && this.#sticky) return '';
    return READABLE.get(name)?.(this) ?? super.getXattr(name);
  }

  /**
   * setxattr(2).
   * @throws FsError EPERM for an attribute that is read only, and for sticky or the filter if the
   * caller is neither uid 0 nor the user of the directory; the errors of `parse` and `setFilter`
   * for the filter; EOPNOTSUPP for another name
   */
  override setXattr(name: string, value: string, caller: Caller): void {
    if (name === STICKY) {
      this.#refuseOthers(caller);
      this.#sticky = true;
    } else if (name === FILTER) {
      this.#refuseOthers(caller);
      this.setFilter(parse(value, this.limits));
    } else if (READABLE.has(name)) throw new FsError(Errno.EPERM, `${name} is read only`);
    else super.setXattr(name, value, caller);
  }

  /**
   * removexattr(2). Without sticky the directory ends with its owner again, at once if the owner is
   * dead. Without a filter it takes everything.
   * @throws FsError EPERM as for `setXattr`; ENODATA if the directory has no attribute of that name
   */
  override removeXattr(name: string, caller: Caller): void {
    if (name === STICKY && this.#sticky) {
      this.#refuseOthers(caller);
      this.#sticky = false;
      if (this.#orphaned) this.ownerDied();
    } else if (name === FILTER) {
      this.#refuseOthers(caller);
      this.setFilter(EVERYTHING);
    } else if (READABLE.has(name)) throw new FsError(Errno.EPERM, `${name} is read only`);
    else super.removeXattr(name, caller);
  }

  /** Makes the directory sticky, as setxattr(2) of a user would. */
  makeSticky(): void {
    this.#sticky = true;
  }

  /** @throws FsError EPERM unless the caller is uid 0 or the user of the directory */
  #refuseOthers(caller: Caller): void {
    if (caller.uid !== 0 && caller.uid !== this.uid)
      throw new FsError(Errno.EPERM, "the directory is someone else's");
  }

  /** Runs after the contents have changed: sets mtime and ctime. */
  override changed(): void {
    this.#modified = this.#changed = now();
  }

  /**
   * chmod(2), chown(2), utimensat(2).
   * @throws FsError EISDIR for a size; EDQUOT or ENOSPC if the new owner cannot be charged
   */
  override change(changes: AttributeChanges): void {
    if (changes.size !== undefined)
      throw new FsError(Errno.EISDIR, 'a directory can not be truncated');
    this.#giveTo(changes.uid ?? this.uid, changes.gid ?? this.gid);
    if (changes.mode !== undefined) this.mode = FileType.directory | (changes.mode & 0o7777);
    this.#accessed = changes.atime ?? this.#accessed;
    this.#modified = changes.mtime ?? this.#modified;
    this.#changed = now();
    if (changes.mode !== undefined || changes.uid !== undefined || changes.gid !== undefined)
      this.#permitted = this.#changed;
  }

  override get permitted(): Timestamp {
    return this.#permitted;
  }

  /**
   * chown(2): moves the charge for the directory and its contents to the account of the new owner.
   * @throws FsError EDQUOT or ENOSPC if that account cannot hold so much
   */
  #giveTo(uid: number, gid: number): void {
    if (uid === this.uid && gid === this.gid) return;
    const { queue } = this;
    const account = this.context.ledger.account(uid, gid);
    const events = queue.entries.size + (this.specials?.size ?? 0);
    this.#account.moveTo(account, {
      directories: 1,
      events,
      bytes: queue.bytes,
      memory: this.#heldMemory,
      filter_cost: this.filter.cost,
    });
    this.#account = queue.quota = account;
    this.uid = uid;
    this.gid = gid;
  }

  override attributes(to: Attributes): void {
    super.attributes(to);
    to.atime = this.#accessed;
    to.mtime = this.#modified;
    to.ctime = this.#changed;
  }

  /**
   * Whether rmdir(2) may remove the directory: it is empty, or holds only delivered events that
   * came after the last listing. Otherwise `rm -r` of a live queue would fail whenever an event
   * comes between its last unlink and its rmdir.
   */
  get removable(): boolean {
    const { entries } = this.queue;
    if (entries.size === 0) return true;
    if (this.listedTo < 0 || entries.seek(0) < this.listedTo) return false;
    for (const entry of entries) if (entry.event instanceof WrittenEvent) return false;
    return true;
  }

  /** Whether the owner is dead and the directory stays because it is sticky. */
  get isOrphaned(): boolean {
    return this.#orphaned;
  }

  /** Returns what the death of the owner does to the directory, in words, for the trace. */
  describe(): string {
    const name = quoted(this.name);
    if (this.#sticky) return `${name} stays, for it is sticky`;
    const { queue, readers } = this;
    const events = `events=${queue.entries.size} bytes=${queue.bytes} special_files=${this.specials?.size ?? 0}`;
    return `${name} ends: ${events} open_streams=${readers.opened} blocked_reads=${readers.reads.size} freed_memory=${this.#heldMemory}`;
  }

  /**
   * Runs when the owner is dead: ends the directory unless it is sticky. No process reaches it or
   * what it held from then on.
   */
  ownerDied(): void {
    this.#orphaned = true;
    if (this.#sticky) return;
    this.parent.ownerDied(this);
  }

  /**
   * Ends the directory in one step: marks its lifetime as over, which every lookup, handle and
   * blocked read depends on. `step` later fails the blocked reads, wakes the pollers and frees the
   * memory.
   */
  end(): void {
    this.lifetime.over = true;
    this.context.inotify.ended(this);
    // The user may make another directory at once; the contents are charged until they are freed.
    this.#account.refundItem('directories');
    this.context.turns.add(this);
  }

  /**
   * Fails some blocked reads, wakes some pollers and frees some memory of a directory that has
   * ended (see Turns).
   * @returns whether all of it is done
   */
  step(): boolean {
    const { context } = this;
    if (!this.#isDetached) {
      this.#isDetached = true;
      context.deliveries.forget(this);
      refundFilter(this.#account, this.filter);
      this.filter = EVERYTHING; // a ghost may stay for long
      this.letGoOfNodes();
      return false;
    }
    if (
      !this.readers.failSome(context.port, Errno.ESTALE, READERS_A_STEP) ||
      !this.freeSome(EVENTS_A_STEP)
    )
      return false;
    this.#account.refundItem('memory', directoryPrice(this.name).memory);
    return true;
  }

  override beforeAnswer(): void {
    this.context.drainCheck.beforeAnswer();
  }

  /**
   * Charges what is left of the directory, which is kept until the kernel has been told of its end
   * (inotify-queue.ts).
   */
  chargeGhost(): void {
    this.#account.forceChargeItem('memory', directoryPrice(this.name).memory);
  }

  /** Refunds the charge of `chargeGhost`. */
  refundGhost(): void {
    this.#account.refundItem('memory', directoryPrice(this.name).memory);
  }

  /** Returns the lines of `.status`. */
  statusLines(): StatusLines {
    return [
      ['OWNER', this.owner.pid],
      ['PENDING', this.queue.entries.size],
      ['BYTES', this.queue.bytes],
      ['LOST', this.queue.lost],
      ['UID', this.uid],
      ['GID', this.gid],
      ['MOST_EVENTS', this.queue.limits.events],
      ['MOST_BYTES', this.queue.limits.bytes],
      ['OVERFLOW', this.queue.limits.overflow ?? 'drop-oldest'],
      ['STREAMS', this.readers.opened],
      ['WAITING', this.readers.reads.size],
      ['NOTICES', this.noticed],
      ['FILTER', this.filter.text.replaceAll('\n', '; ')],
    ];
  }
}
