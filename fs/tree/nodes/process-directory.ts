/** A directory that belongs to one process and ends with it; it is a queue that `ls` shows. */
import { type Event, type LogIndex, type Timestamp, now } from '../../bus/event.js';
import type { SeqNum } from '../../uevent/text.js';
import type { Filter, FilterLimits } from '../../uevent/filter/filter.js';
import { Queue, heapOf } from '../../bus/queue.js';
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

/** A late joiner's history is matched whole where that costs no more than this, and else as far as it gets in this time. */
const MOST_REPLAY_COST = 32_768;
const MOST_REPLAY_MS = 5;

/** The extended attributes (xattr(7)). */
const STICKY = 'user.eventfs_sticky';
const FILTER = 'user.eventfs.filter';
/** A Map, because callers choose the names: in an object `constructor` would be found too. */
const READABLE: ReadonlyMap<string, (directory: ProcessDirectory) => string> = new Map([
  [FILTER, ({ filter }: ProcessDirectory) => filter.text],
  ['user.eventfs.owner', ({ owner }: ProcessDirectory) => String(owner.pid)],
  ['user.eventfs.pending', ({ queue }: ProcessDirectory) => String(queue.entries.size)],
  ['user.eventfs.lost', ({ queue }: ProcessDirectory) => String(queue.lost)],
]);

/** How much of an ended directory one step takes, about 10 us of work. */
const READERS_A_STEP = 8;
const EVENTS_A_STEP = 32;

/** The root, which ends its directories. */
export interface DirectoryParent {
  /** The directory's owner is dead, and nothing keeps the directory. */
  ownerDied(directory: ProcessDirectory): void;
}

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
  /** Where it and what it holds is charged. */
  #account: QuotaAccount;
  #accessed: Timestamp = this.born;
  #modified: Timestamp = this.born;
  #changed: Timestamp = this.born;
  #permitted: Timestamp = this.born;
  /** When the filter was set last. */
  filtered: Timestamp = this.born;
  /** When `beginsAfter` was set last. */
  replayed: Timestamp = this.born;
  /** The number in the log that what it has been offered begins with. */
  #begins: LogIndex;
  /** The kernel's last SEQNUM before that. */
  beginsAfter: SeqNum;
  /** It stays, whatever becomes of its owner. */
  #sticky = false;
  #orphaned = false;
  /** It has ended, and neither events nor requests find it. */
  #isDetached = false;

  constructor(
    context: TreeContext,
    private readonly parent: DirectoryParent,
    id: NodeId,
    override readonly name: string,
    readonly owner: Owner,
    mode: number,
    account: QuotaAccount,
    /** The user that made it. chown(2) does not change that. */
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

  /** An event has come: if the filter lets it, it is linked in, or lost where there is no room. */
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
   * The events that are kept of those that came after the kernel's event `seqnum` join the queue before all others, but for
   * those that were offered to it already. What is gone of them is lost, whether the filter would have let it or not. So is
   * the oldest of what is left where to match it all with a costly filter would hold the daemon for too long.
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

  /** Those of them that the filter lets and that are not here, and how many it was not asked about. */
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

  #wants(event: Event): boolean {
    return this.filter.all || event.always || this.filter.matches(event);
  }

  /** The number in the log from which on nobody has been told. */
  get settledBefore(): LogIndex {
    return this.context.streams.settled;
  }

  /** Whoever waits is told when others are. */
  unsettle(): void {
    this.context.deliveries.settleLater(this);
  }

  get isAwaited(): boolean {
    return this.readers.any;
  }

  /**
   * Answers blocked reads with what has come.
   * @param most how many of them
   * @returns how many
   */
  settle(most: number): number {
    return this.readers.settle(this.context.port, this.queue.complete, most);
  }

  /** How large a filter may be. */
  get limits(): FilterLimits {
    return this.context.settings.filterLimits;
  }

  /** For the log. */
  warn(message: string): void {
    this.context.logger.warn(message);
  }

  /**
   * @param writer the open `.filter` that sets it
   * @throws FsError EDQUOT or ENOSPC where it costs too much; the old one stays
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

  /** A filter has been written that is looked at before the next event comes. */
  parseLater(writer: UnparsedFilter): void {
    if (this.lastWriter !== writer) this.parseUnparsed();
    this.lastWriter = writer;
    this.context.deliveries.parseLater(this);
  }

  /** A filter that was written and not looked at is looked at now. */
  parseUnparsed(): void {
    if (this.context.deliveries.parsed(this) && !this.lifetime.over) this.lastWriter?.parseNow();
  }

  /** An open `.filter` is closed. */
  writerGone(writer: UnparsedFilter): void {
    if (this.lastWriter !== writer) return;
    this.parseUnparsed();
    this.lastWriter = null;
  }

  /** What is charged for it and what it holds, as memory. */
  get #heldMemory(): number {
    const { queue } = this;
    const events = queue.entries.size + (this.specials?.size ?? 0);
    return (
      this.#ownHeap + this.filter.memory + events * LINK_BYTES + queue.heap + this.specialsHeap
    );
  }

  /** What is charged for the directory itself, as memory. */
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

  /** open(2) with O_CREAT. The file joins the queue's end now, and streams take it once it is closed. */
  override create(name: string, mode: number, flags: number, caller: Caller): Handle {
    const file = this.#addFile(name, mode, caller);
    const handle = file.open(flags, caller);
    if (file.event.complete) this.fileComplete(); // made to be read only: there is nothing to wait for
    return handle;
  }

  /** mknod(2), bind(2). Regular files are events, FIFOs and sockets are not; EPERM for devices. */
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

  /** symlink(2). EEXIST for `head` and `tail` also while there is no event. */
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

  /** EDQUOT, ENOSPC. */
  #addSpecial(file: SpecialFile): SpecialFile {
    this.#account.assertFits(1, 0, file.heap);
    this.#account.forceCharge(1, 0, file.heap);
    this.putSpecial(file);
    this.changed();
    return file;
  }

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

  /** EDQUOT where what a user puts in does not fit: it is not dropped behind the user's back. */
  #demand(events: number, bytes: number, heap: number): void {
    this.#refuseFull(events, bytes);
    this.#account.assertFits(events, bytes, heap);
  }

  #refuseFull(events: number, bytes: number): void {
    const { queue } = this;
    if (!queue.refuses(events, bytes)) return;
    const { limits, entries } = queue;
    const held = `${entries.size} of ${limits.events} events and ${queue.bytes} of ${limits.bytes} bytes`;
    throw new FsError(Errno.EDQUOT, `the queue holds ${held}`);
  }

  /** The same for what comes from another directory, and replaces `taken` here. */
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

  #heapOf(node: Node, name: string): number {
    if (node instanceof EventFile) return heapOf(name, node.event);
    return node instanceof SpecialFile ? node.heapAs(name) : name.length;
  }

  /** Whose a new file is: a directory with the set-group-ID bit gives it its own group (inode(7)). */
  #ownersOfNew({ uid, gid }: Caller): { uid: number; gid: number } {
    return { uid, gid: (this.mode & S_ISGID) !== 0 ? this.gid : gid };
  }

  #refuseReserved(name: string): void {
    if (this.isReserved(name)) throw new FsError(Errno.EPERM, `${name} has a meaning here`);
  }

  /**
   * link(2): the event joins this queue's end too; its bytes are not copied. EPERM for FIFOs,
   * sockets and symlinks.
   */
  override link(name: string, node: Node): EventFile {
    if (!(node instanceof EventFile)) throw new FsError(Errno.EPERM, 'only events can be linked');
    const { event } = node;
    if (event.links === 0) throw new FsError(Errno.ENOENT, 'the event is gone');
    this.#refuseReserved(name);
    this.#demand(1, event.length, heapOf(name, event));
    const file = new EventFile(this.context.newNodeId(), this, name, event);
    event.opens++; // the oldest, which makes room, may be this very event's only link
    this.join(file);
    event.close();
    this.changed();
    this.fileComplete();
    return file;
  }

  /** rename(2): within the directory an event keeps its place, in another it goes to the end. */
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
      // Two links to one event: rename(2) leaves both.
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
    this.queue.entries.index(); // which knows it by its old name until it is told
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

  override fileComplete(): void {
    if (this.lifetime.over) return;
    this.context.drainCheck.dataCame();
    if (!this.readers.any) return;
    this.unsettle();
    this.context.bus.settleLater();
  }

  protected override removeEntry(name: string): void {
    this.queue.remove(name);
    this.changed();
  }

  override listXattrs(): readonly string[] {
    return [...READABLE.keys(), ...(this.#sticky ? [STICKY] : [])];
  }

  override getXattr(name: string): string {
    if (name === STICKY && this.#sticky) return '';
    return READABLE.get(name)?.(this) ?? super.getXattr(name);
  }

  /** EPERM for one that is read only, and for sticky by somebody else than the directory's user. */
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

  /** Without sticky it is its owner's again, and gone if that is dead. Without a filter it takes everything. */
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

  /** It stays from now on, as if somebody had set the attribute. */
  makeSticky(): void {
    this.#sticky = true;
  }

  #refuseOthers(caller: Caller): void {
    if (caller.uid !== 0 && caller.uid !== this.uid)
      throw new FsError(Errno.EPERM, "the directory is someone else's");
  }

  /** Its contents have changed. */
  override changed(): void {
    this.#modified = this.#changed = now();
  }

  /** chmod(2), chown(2), utimensat(2). */
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

  /** chown(2): what it holds is charged to others from now on. EDQUOT when that is too much for them. */
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
   * Whether rmdir(2) may take it: it is empty, or holds nothing but delivered events that came after the last listing.
   * Else `rm -r` of a live queue would fail whenever an event comes between its last unlink and its rmdir.
   */
  get removable(): boolean {
    const { entries } = this.queue;
    if (entries.size === 0) return true;
    if (this.listedTo < 0 || entries.seek(0) < this.listedTo) return false;
    for (const entry of entries) if (entry.event instanceof WrittenEvent) return false;
    return true;
  }

  /** Whether its owner is dead, and it is there because it is sticky. */
  get isOrphaned(): boolean {
    return this.#orphaned;
  }

  describe(): string {
    const name = quoted(this.name);
    if (this.#sticky) return `${name} stays, for it is sticky`;
    const { queue, readers } = this;
    const events = `events=${queue.entries.size} bytes=${queue.bytes} special_files=${this.specials?.size ?? 0}`;
    return `${name} ends: ${events} open_streams=${readers.opened} blocked_reads=${readers.reads.size} freed_memory=${this.#heldMemory}`;
  }

  /** The owner is dead: from now on nobody reaches the directory or what it held, unless it is sticky. */
  ownerDied(): void {
    this.#orphaned = true;
    if (this.#sticky) return;
    this.parent.ownerDied(this);
  }

  /**
   * Marks it as over, which each lookup, handle and blocked read goes by, in one step. Telling the
   * readers and freeing its memory is left to `step`.
   */
  end(): void {
    this.lifetime.over = true;
    this.context.inotify.ended(this);
    this.#account.refundItem('directories'); // its user may make another one at once; what it held is charged until it is freed
    this.context.turns.add(this);
  }

  /** Tells some readers and frees some memory of a directory that has ended (see Turns). */
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

  /** What is left of it is kept until the kernel has been told of its end (inotify-queue.ts). */
  chargeGhost(): void {
    this.#account.forceChargeItem('memory', directoryPrice(this.name).memory);
  }

  refundGhost(): void {
    this.#account.refundItem('memory', directoryPrice(this.name).memory);
  }

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
