/**
 * The mounted tree without the mount: the root object of all data that a client can observe.
 *
 * A node is a file or directory that the kernel knows by number. A handle is an open file. A driver
 * calls the tree for each request. The tree answers at once, or it parks a read and answers it
 * through the {@link ReplyPort} when events come.
 */
import type { Bus, BusListener } from '../bus/bus.js';
import type { Event } from '../bus/event.js';
import type { FilterLimits } from '../uevent/filter/filter.js';
import type { Owners } from '../owners/owners.js';
import type { TreeContext } from './context.js';
import { DaemonStatus } from './daemon-status.js';
import { Deliveries } from './deliveries.js';
import { DrainCheck } from './drain-check.js';
import { EVENT_DIRECTORY_INODES } from './nodes/fixed/fixed-names.js';
import type { FilterHost } from './filter-charge.js';
import { KnownObjects } from './known-objects.js';
import { LogDirectory } from './nodes/log-directory.js';
import { MatchDirectory } from './nodes/match-directory.js';
import { FOREVER, type NodeId } from './nodes/node.js';
import { InotifyQueue } from './inotify/inotify-queue.js';
import { PublishFile } from './nodes/publish-file.js';
import { NO_PORT, type ReplyPort } from './ports.js';
import { QuotaLedger } from './quota/ledger.js';
import { RootDirectory } from './nodes/root-directory.js';
import { DEFAULT_SETTINGS, type TreeSettings } from './settings.js';
import { StreamFile } from './streams/stream-file.js';
import { Streams, WOKEN_AT_ONCE } from './streams/streams.js';
import { SILENT, type Logger } from '../shared/log/logger.js';
import type { StatusLines } from '../shared/status-lines.js';
import { TreeCounters } from './restore/counters.js';
import { recordTree } from './restore/recording.js';
import { Turns } from './turns.js';

/** The tree of one mount. */
export class Tree extends KnownObjects implements TreeContext, BusListener, FilterHost {
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
  /** The numbers of the tree as a whole, for a later daemon. */
  readonly counters = new TreeCounters(this);
  #settings: TreeSettings = DEFAULT_SETTINGS;
  #port: ReplyPort = NO_PORT;
  readonly #status = new DaemonStatus(this);

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
    super(bus.log.recorder);
    this.drainCheck = new DrainCheck(owners);
    this.streams = new Streams(bus.log, this.ledger, this.recorder);
    this.root = new RootDirectory(this, owners);
    this.addRoot(this.root);
    this.log = new LogDirectory(this, this.newDirectoryId(), this);
    this.root.fix(this.log.name, this.log);
    this.match = new MatchDirectory(this, this.newNodeId());
    this.root.fix('match', this.match);
    this.root.fix('stream', new StreamFile(this.newNodeId(), FOREVER, this.streams), true);
    this.publish = new PublishFile(this.newNodeId(), FOREVER, bus);
    this.root.fix('publish', this.publish);
    bus.attach(this);
    owners.estates.postponeBy((task) => this.turns.add(task));
    if (this.recorder !== null) recordTree(this, this.recorder);
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
    return this.#status.lines(this.nodeCount, this.handles.size);
  }

  /** @returns the text of `log/.metrics` */
  metrics(): string {
    return this.#status.metrics(this.statusLines());
  }
}
