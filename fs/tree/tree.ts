/**
 * The mounted tree without the mount: the root object of all data that a client can observe.
 *
 * A node is a file or directory that the kernel knows by number. A handle is an open file. A driver
 * calls the tree for each request. The tree answers at once, or it parks a read and answers it
 * through the {@link ReplyPort} when events come.
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
import { EVENT_DIRECTORY_INODES } from './nodes/fixed/fixed-names.js';
import type { FilterHost } from './filter-charge.js';
import { LogDirectory } from './nodes/log-directory.js';
import { MatchDirectory } from './nodes/match-directory.js';
import { Directory } from './nodes/directory.js';
import {
  FOREVER,
  type FileHandle,
  type Handle,
  type Node,
  type NodeId,
  ROOT_ID,
} from './nodes/node.js';
import { InotifyQueue } from './inotify/inotify-queue.js';
import { PublishFile } from './nodes/publish-file.js';
import { NO_PORT, type ReplyPort } from './ports.js';
import type { QuotaAccount } from './quota/account.js';
import { QuotaLedger } from './quota/ledger.js';
import { RootDirectory } from './nodes/root-directory.js';
import { StreamFile, Streams, WOKEN_AT_ONCE } from './streams/streams.js';
import { SILENT, type Logger } from '../shared/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { Turns } from './turns.js';

/** The default bounds of a queue (docs/design.md, section 3). */
export const QUEUE_LIMITS: QueueLimits = {
  events: 4096,
  bytes: 4 * 1024 * 1024,
  overflow: 'drop-oldest',
};

// The reasons in an ESTALE. They are constants, because a thousand readers may get one at once.
const NODE_ENDED = 'it has ended, with its owner or by rmdir';
const HANDLE_ENDED = 'what is open there has ended, with its owner or by rmdir';

/**
 * Throws the error of an open(2) without memory. If the mount has none, the errno is ENFILE, as
 * open(2) has for a limit of the whole system; if the user or group has none, EDQUOT.
 */
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

/** The tree of one mount. */
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
  /** The nodes that the kernel knows. */
  readonly #nodes = new Map<NodeId, Node>();
  /**
   * The open files. The index is the number by which the kernel calls the file; undefined if it is
   * free.
   */
  readonly #handles: (Handle | undefined)[] = [];
  /** The free indices of `#handles`. */
  readonly #freeHandles: FileHandle[] = [];
  readonly #counters: (() => StatusLines)[] = [];

  /**
   * @param bus the source of the events
   * @param owners the death watch of the owners
   * @param logger reports errors and warnings that no system call's errno can carry
   */
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
   * Connects the tree to its driver.
   * @param port answers blocked reads for the tree
   * @param settleSoon makes the driver call `bus.settleSome` after the reply to the present request
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

  /** Changes settings, for the directories that exist and for new ones. */
  configure(changes: Partial<TreeSettings>): void {
    this.#settings = { ...this.#settings, ...changes };
    for (const directory of this.root.directories)
      directory.queue.limits = this.#settings.queueLimits;
  }

  /** @returns an unused node id */
  newNodeId(): NodeId {
    return this.bus.inodes.next() as NodeId;
  }

  /**
   * @returns an unused node id for a new directory of events; the numbers that follow it are
   * reserved for the names that are always in the directory
   */
  newDirectoryId(): NodeId {
    return this.bus.inodes.nextOf(EVENT_DIRECTORY_INODES) as NodeId;
  }

  /** @returns an unused inode number for a new event */
  newInode(): number {
    return this.bus.inodes.next();
  }

  /**
   * Makes a directory that stays as long as the mount. The daemon's process owns it.
   * @param name the directory's name
   * @param mode permission bits
   */
  addSticky(name: string, mode: number): void {
    const daemon = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid };
    this.root.mkdir(name, mode, daemon).setSticky(true);
  }

  // ---- events

  /** Passes a new event of the bus to process directories, the `log/` directory and streams. */
  take(event: Event): void {
    this.deliveries.take(event);
    this.log.announceNewest();
    this.streams.take(event);
  }

  /**
   * Answers some of the blocked reads for which events have come. It drains the deaths first: a
   * source, a timer or a RELEASE may have brought the events, with no request, and so no drain,
   * before them.
   * @returns whether readers remain that are not answered yet
   */
  settle(): boolean {
    this.owners.drain(); // before the loops over the readers: a death ends some readers
    const port = this.#port;
    port.cork();
    try {
      const isMore = this.deliveries.settle(WOKEN_AT_ONCE);
      return this.streams.settle(port) || isMore;
    } finally {
      port.uncork();
    }
  }

  // ---- nodes and open files, by the kernel's numbers

  /**
   * Finds a node by the kernel's number.
   * @throws FsError ESTALE if the node has ended
   */
  node(id: NodeId): Node {
    const node = this.#nodes.get(id);
    if (node === undefined || node.lifetime.over) throw new FsError(Errno.ESTALE, NODE_ENDED);
    return node;
  }

  /**
   * Returns the reason, in words, that a lookup found nothing. For the trace.
   * @param parent the directory's node id
   * @param name the name that was looked up
   */
  whyNotFound(parent: NodeId, name: string): string {
    const node = this.#nodes.get(parent);
    return node instanceof Directory ? node.whyNotFound(name) : NODE_ENDED;
  }

  /** Adds 1 to a node's lookup count: a reply names the node, and the kernel counts it too. */
  remember(node: Node): void {
    if (node.lookups++ === 0) this.#nodes.set(node.id, node);
  }

  /**
   * FORGET: lowers a node's lookup count. At zero the kernel does not know the node any more, and
   * the tree drops it from the table of nodes.
   * @param lookups the number to subtract
   */
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
   * Removes an ended node from the table of nodes, before the kernel's FORGET. The kernel keeps the
   * inode until it needs the memory, even with time-outs of zero (fs/fuse/dir.c: only virtiofs uses
   * delete_stale). Its later FORGET finds no node, and `forget` ignores it.
   */
  disown(node: Node): void {
    this.#nodes.delete(node.id);
  }

  /**
   * Charges the caller for an open file of `node`, before the open. `enter` or a refund must
   * follow. If the mount has no memory left, root can use a reserve, to look into the mount.
   * @returns the charged account
   * @throws FsError EDQUOT if a quota of the user or group refuses it, ENFILE if the mount has no
   * memory left
   */
  chargeOpen(node: Node, { uid, gid }: Caller): QuotaAccount {
    const account = this.ledger.account(uid, gid);
    if (!account.tryChargeOpen(node.openHeap)) refuseOpen(account, node.openHeap);
    return account;
  }

  /**
   * Enters an open file into the table, under the number by which the kernel will call it
   * (fuse_open_out.fh).
   * @param handle the open file
   * @param account the account that `chargeOpen` has charged
   * @param heap the charged memory, in bytes
   * @returns the number
   */
  enter(handle: Handle, account: QuotaAccount, heap: number): FileHandle {
    handle.chargedTo(account, heap);
    handle.node.opens++;
    const free = this.#freeHandles.pop();
    if (free === undefined) return (this.#handles.push(handle) - 1) as FileHandle;
    this.#handles[free] = handle;
    return free;
  }

  /**
   * Finds an open file by the kernel's number.
   * @throws FsError ESTALE if the open node has ended, EBADF if no file has that number
   */
  handle(fh: FileHandle): Handle {
    const handle = this.#handles[fh];
    if (handle === undefined) throw new FsError(Errno.EBADF, 'no such file is open');
    if (handle.node.lifetime.over) throw new FsError(Errno.ESTALE, HANDLE_ENDED);
    return handle;
  }

  /** RELEASE: the last descriptor is closed. Removes the open file and refunds its memory. */
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

  /**
   * Answers each blocked read with the end of the file, and does all postponed work: the daemon
   * ends.
   */
  end(): void {
    this.turns.finish();
    for (const group of this.streams.groups.values()) group.waiters.end(this.#port);
    for (const directory of this.root.directories) directory.readers.end(this.#port);
  }

  // ---- status

  /**
   * Adds lines to `log/.status`.
   * @param counters returns the lines; called each time the daemon makes the file's text
   */
  report(counters: () => StatusLines): void {
    this.#counters.push(counters);
  }

  /** @returns the lines of `log/.status` */
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
