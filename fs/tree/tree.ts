/**
 * What is mounted, without a mount: the one root object from which all that a client can observe is reached.
 *
 * Nodes are what the kernel knows by number, handles what it has open. A driver asks; the tree answers at once or parks
 * a read, and speaks up through the {@link Door} when events come for those who wait.
 */
import type { Bus, Outlet } from '../bus/bus.js';
import type { Event } from '../bus/event.js';
import { FilterIndex } from '../bus/filter-index.js';
import { FILTER_LIMITS, type FilterLimits } from '../uevent/filter/filter.js';
import type { QueueLimits } from '../bus/queue.js';
import { Errno, FsError } from '../shared/errors.js';
import type { Caller, Owners } from '../owners/owners.js';
import { descriptorRefusals } from '../owners/process.js';
import type { Door } from './ports.js';
import { DrainCheck } from './drain-check.js';
import type { FilterHost } from './filter-charge.js';
import type { FileHandle, Handle } from './handle.js';
import { LogDirectory } from './nodes/log-directory.js';
import { MatchDirectory } from './nodes/match-directory.js';
import { Lifetime, type Node, type NodeId } from './nodes/node.js';
import { Notices } from './inotify-queue.js';
import type { ProcessDirectory } from './nodes/process-directory.js';
import { PublishFile } from './nodes/publish-file.js';
import { Ledger, type Tab } from './quota.js';
import { ROOT_ID, RootDirectory } from './nodes/root-directory.js';
import { StreamFile, Streams, WOKEN_AT_ONCE } from './streams/streams.js';
import type { StatusLines } from '../shared/status-lines.js';
import { Turns } from './turns.js';

/** How much a queue holds (DESIGN section 3, Bounds). */
export const QUEUE_LIMITS: QueueLimits = { events: 4096, bytes: 4 * 1024 * 1024, overflow: 'drop-oldest' };

/** Nobody listens. */
export const NO_DOOR: Door = {
  begin: () => ({ room: 0, put: () => undefined }),
  answer: () => undefined,
  gather: () => undefined,
  flush: () => undefined,
  fail: () => undefined,
  wake: () => undefined,
};

/** open(2) has a word for what the whole system lacks. */
function refuseOpen(tab: Tab, heap: number): never {
  try {
    tab.claim('memory', heap);
  } catch (error) {
    if (error instanceof FsError && error.errno === Errno.ENOSPC) throw new FsError(Errno.ENFILE, error.why);
    throw error;
  }
  throw new FsError(Errno.ENFILE);
}

function deliver(directory: ProcessDirectory, event: Event): void {
  directory.deliver(event);
}

export class Tree implements Outlet, FilterHost {
  /** The lifetime of what stays as long as the mount. */
  readonly forever = new Lifetime();
  readonly root: RootDirectory;
  readonly log: LogDirectory;
  readonly streams: Streams;
  /** Who holds how much. */
  readonly ledger = new Ledger();
  /** What each queue may hold. */
  queueLimits: QueueLimits = QUEUE_LIMITS;
  filterLimits: FilterLimits = FILTER_LIMITS;
  /** Where the tree says what no system call can be told of. */
  complain: (message: string) => void = () => undefined;
  /** Whether readdir(3) shows head, tail and `stream`. */
  listsLinks = false;
  readonly notices = new Notices();
  /** Frees what has ended. */
  readonly turns = new Turns();
  readonly drainCheck: DrainCheck;
  /** Set by the driver that carries the tree. */
  door: Door = NO_DOOR;
  /** Which process directories may want an event. */
  readonly takers = new FilterIndex<ProcessDirectory>();
  /** Directories whose filter was written and not looked at. */
  readonly unparsed = new Set<ProcessDirectory>();
  /** Directories with events that somebody waits for. */
  readonly unsettled = new Set<ProcessDirectory>();
  /** What the kernel knows. */
  readonly #nodes = new Map<NodeId, Node>();
  /** What the kernel has open, at the place that is its file handle; holes are free. */
  readonly #handles: (Handle | undefined)[] = [];
  readonly #freeHandles: FileHandle[] = [];
  readonly #counters: (() => StatusLines)[] = [];

  constructor(
    readonly bus: Bus,
    readonly owners: Owners,
  ) {
    this.drainCheck = new DrainCheck(owners);
    this.streams = new Streams(bus.log, this.ledger);
    this.root = new RootDirectory(this);
    this.#nodes.set(ROOT_ID, this.root);
    this.log = new LogDirectory(this, this.mintNodeId());
    this.root.fix(this.log.name, this.log);
    this.root.fix('match', new MatchDirectory(this, this.mintNodeId()));
    this.root.fix('stream', new StreamFile(this.mintNodeId(), this.forever, this.streams, ''), true);
    this.root.fix('publish', new PublishFile(this.mintNodeId(), this.forever, bus));
    bus.outlets.push(this);
  }

  /** Other bounds for what there is and for what will be made. */
  setQueueLimits(limits: QueueLimits): void {
    this.queueLimits = limits;
    for (const directory of this.root.directories) directory.queue.limits = limits;
  }

  mintNodeId(): NodeId {
    return this.bus.inodes.next() as NodeId;
  }

  mintInode(): number {
    return this.bus.inodes.next();
  }

  /** A directory that stays as long as the mount, the daemon's own. */
  addSticky(name: string, mode: number): void {
    const daemon = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid };
    this.root.mkdir(name, mode, daemon).makeSticky();
  }

  // ---- events

  take(event: Event): void {
    if (this.unparsed.size > 0) for (const directory of this.unparsed) directory.parseUnparsed();
    this.takers.offer(event, deliver);
    this.log.announceNewest();
    this.streams.take(event);
  }

  /**
   * Answers blocked readers, some at a time. The deaths are drained first: a source, a timer or a
   * RELEASE may have brought the events, with no request before them.
   * @returns whether more readers wait for what has come
   */
  settle(): boolean {
    this.owners.drain(); // before the readers are walked, for a death ends some of them
    this.door.gather();
    try {
      this.#settleDirectories();
      return this.streams.settle(this.door) || this.unsettled.size > 0;
    } finally {
      this.door.flush();
    }
  }

  #settleDirectories(): void {
    let room = WOKEN_AT_ONCE;
    for (const directory of this.unsettled) {
      if (room === 0) return;
      this.unsettled.delete(directory);
      if (directory.lifetime.over) continue;
      room -= directory.settle(room);
      if (room === 0 && directory.readers.any) this.unsettled.add(directory); // behind the others
    }
  }

  // ---- what the kernel knows

  /** The node that the kernel means. ESTALE when it has ended. */
  node(id: NodeId): Node {
    const node = this.#nodes.get(id);
    if (node === undefined || node.lifetime.over) throw new FsError(Errno.ESTALE);
    return node;
  }

  /** A reply names the node: the kernel counts one lookup more. */
  remember(node: Node): void {
    if (node.lookups++ === 0) this.#nodes.set(node.id, node);
  }

  /** FORGET: the kernel counts `lookups` fewer, and at zero does not know the node any more. */
  forget(id: NodeId, lookups: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined || id === ROOT_ID) return;
    node.lookups -= lookups;
    if (node.lookups > 0) return;
    node.lookups = 0;
    this.#nodes.delete(id);
    node.forgotten();
  }

  /**
   * The node has ended: it is let go of now. The kernel keeps its inode until it needs the memory, even with time-outs
   * of zero (fs/fuse/dir.c: delete_stale is virtiofs's), and will forget what is not there any more.
   */
  disown(node: Node): void {
    this.#nodes.delete(node.id);
  }

  /**
   * Charges the caller what an open file of `node` will cost, before it is opened; then `enter` is to follow, or a refund.
   * EDQUOT, and ENFILE when the mount has no memory left; root has some in reserve then, to look into what there is.
   */
  chargeOpen(node: Node, { uid, gid }: Caller): Tab {
    const tab = this.ledger.tab(uid, gid);
    if (!tab.tryClaimOpen(node.openHeap)) refuseOpen(tab, node.openHeap);
    return tab;
  }

  /**
   * Gives an open file the number that the kernel will use for it.
   * @param tab what `chargeOpen` has charged @param heap how much that was
   */
  enter(handle: Handle, tab: Tab, heap: number): FileHandle {
    handle.tab = tab;
    handle.heap = heap;
    handle.node.opens++;
    const free = this.#freeHandles.pop();
    if (free === undefined) return (this.#handles.push(handle) - 1) as FileHandle;
    this.#handles[free] = handle;
    return free;
  }

  /** The open file that the kernel means. ESTALE when what it is of has ended. */
  handle(fh: FileHandle): Handle {
    const handle = this.#handles[fh];
    if (handle === undefined) throw new FsError(Errno.EBADF);
    if (handle.node.lifetime.over) throw new FsError(Errno.ESTALE);
    return handle;
  }

  /** RELEASE: the last descriptor is closed. */
  leave(fh: FileHandle): void {
    const handle = this.#handles[fh];
    if (handle === undefined) return;
    this.#handles[fh] = undefined;
    this.#freeHandles.push(fh);
    if (this.#freeHandles.length === this.#handles.length) this.#handles.length = this.#freeHandles.length = 0;
    handle.node.opens--;
    handle.release();
    handle.tab?.unclaim('memory', handle.heap);
  }

  /** Everybody who waits gets the end of the file: the daemon is going. */
  end(): void {
    this.turns.finish();
    for (const group of this.streams.groups.values()) group.end(this.door);
    for (const directory of this.root.directories) {
      for (const read of directory.readers.waiting) {
        this.door.begin(0);
        this.door.answer([read]);
      }
      directory.readers.waiting.clear();
    }
  }

  // ---- status

  /** More lines for `log/.status`. */
  report(counters: () => StatusLines): void {
    this.#counters.push(counters);
  }

  statusLines(): StatusLines {
    const { bus } = this;
    return [
      ['DAEMON', process.pid],
      ['SEQNUM', bus.lastSeqnum],
      ['KERNEL', bus.counted.kernel],
      ['UDEV', bus.counted.udev],
      ['PUBLISHED', bus.counted.published],
      ['PUBLISH_CUT', bus.counted.cut],
      ['LOST', bus.lost],
      ['KEPT', bus.log.next - bus.log.oldest],
      ['DIRECTORIES', this.root.directories.size],
      ['OWNERS', this.owners.size],
      ['STREAMS', this.streams.size],
      ['NODES', this.#nodes.size],
      ['HANDLES', this.#handles.length - this.#freeHandles.length],
      ...this.ledger.statusLines(),
      ...(descriptorRefusals.count > 0 ? ([['REFUSED_DESCRIPTORS', descriptorRefusals.count]] as const) : []),
      ...this.notices.statusLines(),
      ...this.#counters.flatMap((lines) => lines()),
      ...this.streams.statusLines(),
    ];
  }
}
