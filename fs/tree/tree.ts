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
import type { TreeContext, TreeSettings } from './context.js';
import { DaemonStatus } from './daemon-status.js';
import { Deliveries } from './deliveries.js';
import { DrainCheck } from './drain-check.js';
import { EVENT_DIRECTORY_INODES } from './nodes/fixed/fixed-names.js';
import type { FilterHost } from './filter-charge.js';
import { EventDirectory } from './nodes/event-directory.js';
import { EventHandle } from './nodes/event-file.js';
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
import { HandleTable, chargeOpen } from './handle-table.js';
import { NO_PORT, type ReplyPort } from './ports.js';
import type { QuotaAccount } from './quota/account.js';
import { QuotaLedger } from './quota/ledger.js';
import { RootDirectory } from './nodes/root-directory.js';
import { StreamFile } from './streams/stream-file.js';
import { Streams, WOKEN_AT_ONCE } from './streams/streams.js';
import { SILENT, type Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { Recorded, Recorder } from '../state/recorder.js';
import { TreeCounters } from './restore/counters.js';
import { heldEvent, living } from './restore/living.js';
import { Turns } from './turns.js';

/** The default bounds of a queue (docs/design.md, section 3). */
export const QUEUE_LIMITS: QueueLimits = {
  events: 4096,
  bytes: 4 * 1024 * 1024,
  overflow: 'drop-oldest',
};

/** The reason in an ESTALE. A constant, because a thousand readers may get one at once. */
const NODE_ENDED = 'the directory has ended, with its owner or by rmdir';

/** The tree of one mount. */
export class Tree implements TreeContext, BusListener, FilterHost {
  readonly root: RootDirectory;
  readonly log: LogDirectory;
  readonly match: MatchDirectory;
  readonly publish: PublishFile;
  readonly streams: Streams;
  readonly ledger = new QuotaLedger();
  readonly deliveries = new Deliveries();
  readonly inotify = new InotifyQueue();
  readonly turns = new Turns();
  readonly drainCheck: DrainCheck;
  readonly recorder: Recorder | null;
  /** The numbers of the tree as a whole, for a later daemon. */
  readonly counters = new TreeCounters(this);
  #settings: TreeSettings = {
    queueLimits: QUEUE_LIMITS,
    filterLimits: FILTER_LIMITS,
    listsLinks: false,
  };
  #port: ReplyPort = NO_PORT;
  /** The nodes that the kernel knows. */
  readonly #nodes = new Map<NodeId, Node>();
  readonly #handles: HandleTable;
  readonly #status = new DaemonStatus(this);

  /**
   * @param bus the source of the events
   * @param owners the death watch of the owners
   * @param logger reports errors and warnings that no system call's errno can carry
   * @param recorder records the changes for a later daemon; null without a guardian
   */
  constructor(
    readonly bus: Bus,
    readonly owners: Owners,
    readonly logger: Logger = SILENT,
  ) {
    this.recorder = bus.log.recorder;
    this.drainCheck = new DrainCheck(owners);
    this.#handles = new HandleTable(this.recorder);
    this.streams = new Streams(bus.log, this.ledger, this.recorder);
    this.root = new RootDirectory(this, owners);
    this.#nodes.set(ROOT_ID, this.root);
    this.log = new LogDirectory(this, this.newDirectoryId(), this);
    this.root.fix(this.log.name, this.log);
    this.match = new MatchDirectory(this, this.newNodeId());
    this.root.fix('match', this.match);
    this.root.fix('stream', new StreamFile(this.newNodeId(), FOREVER, this.streams), true);
    this.publish = new PublishFile(this.newNodeId(), FOREVER, bus);
    this.root.fix('publish', this.publish);
    bus.attach(this);
    if (this.recorder !== null) this.#recordBy(this.recorder);
  }

  #recordBy(recorder: Recorder): void {
    recorder.counters = this.counters;
    recorder.living = () => living(this);
    recorder.counted();
    recorder.changed(this.root);
    recorder.onDue = () => this.turns.add(recorder);
    recorder.makeRoom = () => {
      if (!this.bus.log.reserve()) return;
      recorder.counted();
      this.streams.recordGroupsIfDue();
    };
  }

  /**
   * Returns what a compaction records of the open files.
   * @param _recorded the events that it has recorded
   */
  *livingOpenFiles(recorded: Set<Event>): Iterable<Recorded> {
    yield* this.streams.recorded();
    for (const handle of this.#handles) {
      yield handle;
      if (handle instanceof EventHandle) yield heldEvent(handle.node.event, this, recorded);
    }
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
    this.recorder?.counted();
    return this.bus.inodes.next() as NodeId;
  }

  /**
   * @returns an unused node id for a new directory of events; the numbers that follow it are
   * reserved for the names that are always in the directory
   */
  newDirectoryId(): NodeId {
    this.recorder?.counted();
    return this.bus.inodes.nextOf(EVENT_DIRECTORY_INODES) as NodeId;
  }

  /** @returns an unused inode number for a new event */
  newInode(): number {
    this.recorder?.counted();
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
    const node = this.#nodes.get(id) ?? this.#fixture(id);
    if (node === undefined || node.lifetime.over) throw new FsError(Errno.ESTALE, NODE_ENDED);
    return node;
  }

  /**
   * Finds a fixed name that the kernel knows from the last daemon: its node id follows from that of
   * its directory. The kernel repeats an open(2) that fails by ESTALE only once, and the daemon may
   * die again meanwhile.
   */
  #fixture(id: NodeId): Node | undefined {
    if (this.recorder === null) return undefined;
    for (let offset = 1; offset < EVENT_DIRECTORY_INODES; offset++) {
      const directory = this.#nodes.get((id - offset) as NodeId);
      if (!(directory instanceof EventDirectory)) continue;
      const node = directory.fixtureAt(offset);
      if (node?.id !== id) return undefined;
      this.remember(node);
      return node;
    }
    return undefined;
  }

  /** Returns the node that the kernel knows by a number, or undefined; the root is always known. */
  known(id: NodeId): Node | undefined {
    const fixed = this.root.fixed(id);
    return fixed ?? this.#nodes.get(id);
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
   * follow.
   * @returns the charged account
   * @throws FsError the errors of `chargeOpen` (handle-table.ts)
   */
  chargeOpen(node: Node, { uid, gid }: Caller): QuotaAccount {
    const account = this.ledger.account(uid, gid);
    chargeOpen(account, node.openHeap);
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
    return this.#handles.enter(handle, account, heap);
  }

  /**
   * Finds an open file by the kernel's number.
   * @throws FsError ESTALE if the open node has ended, EBADF if no file has that number
   */
  handle(fh: FileHandle): Handle {
    return this.#handles.get(fh);
  }

  /** All open files, for the restoring of the tree and for a compaction of its state. */
  get handles(): HandleTable {
    return this.#handles;
  }

  /** RELEASE: the last descriptor is closed. Removes the open file and refunds its memory. */
  leave(fh: FileHandle): void {
    this.#handles.leave(fh);
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
    this.#status.add(counters);
  }

  /** @returns the lines of `log/.status` */
  statusLines(): StatusLines {
    return this.#status.lines(this.#nodes.size, this.#handles.size);
  }

  /** @returns the text of `log/.metrics` */
  metrics(): string {
    return this.#status.metrics(this.statusLines());
  }
}
