/**
 * What is mounted, without a mount: the one root object from which all that a client can observe is reached.
 *
 * Nodes are what the kernel knows by number, handles what it has open. A driver asks; the tree answers at once or parks
 * a read, and answers it through the {@link ReplyPort} when events come.
 */
import type { Bus, BusListener } from '../bus/bus.js';
import type { Event } from '../bus/event.js';
import { FILTER_LIMITS, type FilterLimits } from '../uevent/filter/filter.js';
import type { QueueLimits } from '../bus/queue.js';
import { Errno, FsError } from '../shared/errors.js';
import type { Caller, Owners } from '../owners/owners.js';
import { descriptorRefusals } from '../owners/process.js';
import type { TreeContext, TreeSettings } from './context.js';
import { Deliveries } from './deliveries.js';
import { DrainCheck } from './drain-check.js';
import { EVENT_DIRECTORY_INODES } from './nodes/event-directory.js';
import type { FilterHost } from './filter-charge.js';
import { LogDirectory } from './nodes/log-directory.js';
import { MatchDirectory } from './nodes/match-directory.js';
import {
  Directory,
  FOREVER,
  type FileHandle,
  type Handle,
  type Node,
  type NodeId,
  ROOT_ID,
} from './nodes/node.js';
import { InotifyQueue } from './inotify-queue.js';
import { PublishFile } from './nodes/publish-file.js';
import { NO_PORT, type ReplyPort } from './ports.js';
import { QuotaLedger, type QuotaAccount } from './quota.js';
import { RootDirectory } from './nodes/root-directory.js';
import { StreamFile, Streams, WOKEN_AT_ONCE } from './streams/streams.js';
import { SILENT, type Logger } from '../shared/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { Turns } from './turns.js';

/** How much a queue holds (docs/design.md, section 3). */
export const QUEUE_LIMITS: QueueLimits = {
  events: 4096,
  bytes: 4 * 1024 * 1024,
  overflow: 'drop-oldest',
};

/** Why what is dead is refused: constants, for a thousand readers may be told at once. */
const NODE_ENDED = 'it has ended, with its owner or by rmdir';
const HANDLE_ENDED = 'what is open there has ended, with its owner or by rmdir';

/** open(2) has a word for what the whole system lacks. */
function refuseOpen(account: QuotaAccount, heap: number): never {
  try {
    account.chargeItem('memory', heap);
  } catch (error) {
    if (error instanceof FsError && error.errno === Errno.ENOSPC)
      throw new FsError(Errno.ENFILE, error.why);
    throw error;
  }
  throw new FsError(Errno.ENFILE, 'the memory of the mount is used up');
}

export class Tree implements TreeContext, BusListener, FilterHost {
  readonly root: RootDirectory;
  readonly log: LogDirectory;
  readonly streams: Streams;
  readonly ledger = new QuotaLedger();
  readonly deliveries = new Deliveries();
  readonly inotify = new InotifyQueue();
  readonly turns = new Turns();
  readonly drainCheck: DrainCheck;
  #settings: TreeSettings = {
    queueLimits: QUEUE_LIMITS,
    filterLimits: FILTER_LIMITS,
    listsLinks: false,
  };
  #port: ReplyPort = NO_PORT;
  /** What the kernel knows. */
  readonly #nodes = new Map<NodeId, Node>();
  /** What the kernel has open, at the place that is its file handle; holes are free. */
  readonly #handles: (Handle | undefined)[] = [];
  readonly #freeHandles: FileHandle[] = [];
  readonly #counters: (() => StatusLines)[] = [];

  /** @param logger told what no system call can be told of */
  constructor(
    readonly bus: Bus,
    readonly owners: Owners,
    readonly logger: Logger = SILENT,
  ) {
    this.drainCheck = new DrainCheck(owners);
    this.streams = new Streams(bus.log, this.ledger);
    this.root = new RootDirectory(this, owners);
    this.#nodes.set(ROOT_ID, this.root);
    this.log = new LogDirectory(this, this.newDirectoryId(), () => this.statusLines());
    this.root.fix(this.log.name, this.log);
    this.root.fix('match', new MatchDirectory(this, this.newNodeId()));
    this.root.fix('stream', new StreamFile(this.newNodeId(), FOREVER, this.streams), true);
    this.root.fix('publish', new PublishFile(this.newNodeId(), FOREVER, bus));
    bus.attach(this);
  }

  /**
   * A driver carries the tree from now on.
   * @param port where the tree answers blocked reads
   * @param settleSoon has `bus.settleSome` called once the request that is being served has its reply
   */
  attach(port: ReplyPort, settleSoon: () => void): void {
    this.#port = port;
    this.bus.settleBy(settleSoon);
  }

  get port(): ReplyPort {
    return this.#port;
  }

  get settings(): TreeSettings {
    return this.#settings;
  }

  get filterLimits(): FilterLimits {
    return this.#settings.filterLimits;
  }

  /** Other settings for what there is and for what will be made. */
  configure(changes: Partial<TreeSettings>): void {
    this.#settings = { ...this.#settings, ...changes };
    for (const directory of this.root.directories)
      directory.queue.limits = this.#settings.queueLimits;
  }

  newNodeId(): NodeId {
    return this.bus.inodes.next() as NodeId;
  }

  /** The node id of a directory of events, with the numbers behind it for what is always in it. */
  newDirectoryId(): NodeId {
    return this.bus.inodes.nextOf(EVENT_DIRECTORY_INODES) as NodeId;
  }

  newInode(): number {
    return this.bus.inodes.next();
  }

  /** A directory that stays as long as the mount, the daemon's own. */
  addSticky(name: string, mode: number): void {
    const daemon = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid };
    this.root.mkdir(name, mode, daemon).makeSticky();
  }

  // ---- events

  take(event: Event): void {
    this.deliveries.take(event);
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
    const port = this.#port;
    port.cork();
    try {
      const isMore = this.deliveries.settle(WOKEN_AT_ONCE);
      return this.streams.settle(port) || isMore;
    } finally {
      port.uncork();
    }
  }

  // ---- what the kernel knows

  /** The node that the kernel means. ESTALE when it has ended. */
  node(id: NodeId): Node {
    const node = this.#nodes.get(id);
    if (node === undefined || node.lifetime.over) throw new FsError(Errno.ESTALE, NODE_ENDED);
    return node;
  }

  /** Why a lookup found nothing, in words: for the trace. @param parent the directory's node id */
  whyNotFound(parent: NodeId, name: string): string {
    const node = this.#nodes.get(parent);
    return node instanceof Directory ? node.whyNotFound(name) : NODE_ENDED;
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
  chargeOpen(node: Node, { uid, gid }: Caller): QuotaAccount {
    const account = this.ledger.account(uid, gid);
    if (!account.tryChargeOpen(node.openHeap)) refuseOpen(account, node.openHeap);
    return account;
  }

  /**
   * Gives an open file the number that the kernel will use for it.
   * @param account what `chargeOpen` has charged @param heap how much that was
   */
  enter(handle: Handle, account: QuotaAccount, heap: number): FileHandle {
    handle.account = account;
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
    if (handle === undefined) throw new FsError(Errno.EBADF, 'no such file is open');
    if (handle.node.lifetime.over) throw new FsError(Errno.ESTALE, HANDLE_ENDED);
    return handle;
  }

  /** RELEASE: the last descriptor is closed. */
  leave(fh: FileHandle): void {
    const handle = this.#handles[fh];
    if (handle === undefined) return;
    this.#handles[fh] = undefined;
    this.#freeHandles.push(fh);
    if (this.#freeHandles.length === this.#handles.length)
      this.#handles.length = this.#freeHandles.length = 0;
    handle.node.opens--;
    handle.release();
    handle.account?.refundItem('memory', handle.heap);
  }

  /** Everybody who waits gets the end of the file: the daemon is going. */
  end(): void {
    this.turns.finish();
    for (const group of this.streams.groups.values()) group.waiters.end(this.#port);
    for (const directory of this.root.directories) directory.readers.end(this.#port);
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
      ...(descriptorRefusals.count > 0
        ? ([['REFUSED_DESCRIPTORS', descriptorRefusals.count]] as const)
        : []),
      ...this.inotify.statusLines(),
      ...this.#counters.flatMap((lines) => lines()),
      ...this.streams.statusLines(),
    ];
  }
}
