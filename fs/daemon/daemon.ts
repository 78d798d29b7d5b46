/** The daemon: makes its parts and connects them. It is the only place that knows all parts. */
import { allocatePages, discardPages, raiseFileLimit } from '#native';
import { clock } from '../shared/clock.js';
import { FsError, UsageError, UserError, errnoText } from '../shared/errors.js';
import { Arena } from '../bus/arena.js';
import { Bus } from '../bus/bus.js';
import { Log } from '../bus/log.js';
import { IdAllocator } from '../shared/id-allocator.js';
import { KEPT_DEVICE } from '../drivers/devfuse/hand-over/adopt.js';
import { MemfdInit } from '../drivers/devfuse/hand-over/kept-init.js';
import type { Driver } from '../drivers/driver.js';
import { openDriver } from '../drivers/open-driver.js';
import { FUSE_ROOT_ID } from '../fuse/abi.js';
import { GiveBack } from './memory.js';
import { Owners } from '../owners/owners.js';
import type { DaemonOptions, LiveSettings, SourceName, StickyDirectory } from './options.js';
import { openState, quotasForState, sourceState } from './state.js';
import type { Recorder } from '../state/recorder.js';
import type { StateTable } from '../state/table.js';
import { openOutlets } from '../outlets/open-outlets.js';
import type { Outlet } from '../outlets/outlet.js';
import { KERNEL } from '../sources/kernel.js';
import { NO_KEEPER } from '../shared/kernel/keeper.js';
import { networkLimits } from '../shared/kernel/network-namespace.js';
import { UDEV } from '../sources/udev.js';
import type { NetlinkGroup } from '../sources/source-types.js';
import { UeventSource } from '../sources/uevent-source.js';
import { NO_TRACE } from '../shared/log/trace.js';
import { traceEvents } from '../tree/event-tracer.js';
import { Recovery } from '../drivers/devfuse/hand-over/recovery.js';
import { restoreTree } from '../tree/restore/restore.js';
import { Tree } from '../tree/tree.js';

/**
 * The most descriptors that owners leave free for the next daemon: it has to hold the same owners,
 * and to load its modules, of which the loader opens many at once.
 */
const RESERVED_DESCRIPTORS = 256;

/** Returns how many of all descriptors owners leave free. */
function reserved(descriptors: number): number {
  return Math.min(RESERVED_DESCRIPTORS, descriptors >> 2);
}

/** Loads the driver of mounts with a keeper, before the owners of the last daemon are restored. */
export async function loadDriver(): Promise<void> {
  await import('../drivers/devfuse/devfuse.js');
}

const GROUPS: Readonly<Record<SourceName, NetlinkGroup>> = { kernel: KERNEL, udev: UDEV };

/**
 * Replaces Node's handler of SIGUSR1, unless the program has a listener of its own. Node's handler
 * opens a port through which every local user can run code in this process.
 */
function keepDebuggerShut(): void {
  if (process.listenerCount('SIGUSR1') === 0) process.on('SIGUSR1', () => undefined);
}

/** Returns the netlink groups that sources read, as a mask: bit 0 is group 1. */
export function readMaskOf(sources: readonly SourceName[]): number {
  return sources.reduce((mask, name) => mask | (1 << (GROUPS[name].number - 1)), 0);
}

/** One mount and everything that serves it. */
export class Daemon {
  readonly tree: Tree;
  readonly #owners: Owners;
  readonly #giveBack: GiveBack;
  /** Null if no later daemon can take over. */
  readonly #recorder: Recorder | null;
  #driver: Driver | null = null;
  readonly #sources: readonly UeventSource[];
  #outlets: readonly Outlet[] = [];
  /** The time in which the kernel sends the requests of the last daemon again. */
  readonly #recovery: Recovery;
  #isPaused = false;

  /**
   * Makes the tree with its sticky directories. Raises the limit of open files. Does not mount:
   * {@link start} does.
   *
   * @throws UsageError if a sticky directory can't have its name
   */
  constructor(private readonly options: DaemonOptions) {
    const descriptors = raiseFileLimit(); // each owner costs one
    keepDebuggerShut();
    const { logger, trace = NO_TRACE } = options;
    const { holder: keeper = NO_KEEPER, mapped } = options;
    this.#owners = new Owners(
      () => this.#giveBack.note(),
      trace,
      options.holder,
      options.holder === undefined ? Infinity : descriptors - reserved(descriptors),
    );
    const isNew = options.holder?.look(KEPT_DEVICE) === undefined;
    const state = openState(keeper, options.config.ring, logger, mapped, isNew);
    const bus = new Bus(
      new Log(
        state?.ring ?? options.config.ring,
        new Arena({ allocate: allocatePages, discard: discardPages }),
        state?.recorder,
      ),
      new IdAllocator(FUSE_ROOT_ID),
    );
    this.tree = new Tree(bus, this.#owners, logger);
    this.#owners.endings.postponeBy((task) => this.tree.turns.add(task));
    this.tree.deliveries.settleAloneBy(() => clock.soon(() => this.#settleAlone()));
    traceEvents(this.tree, trace);
    this.#giveBack = new GiveBack(() => this.tree.ledger.mount.memory, logger);
    this.tree.report(() => this.#giveBack.statusLines());
    this.configure(options);
    this.#recorder = state?.recorder ?? null;
    // Until `resume` no change counts: the last daemon may have to serve again
    this.#recorder?.freeze();
    if (state !== null) state.recorder.journal.isShared = !isNew && !keeper.followsDeath;
    if (state !== null && state.table !== null) {
      this.tree.inotify.expect();
      this.#restore(state.table);
    }
    this.#recovery = new Recovery(state?.recorder, state?.table);
    this.tree.publish.text.takesLosses = options.outlets.fleet === true;
    const kept = new Set([...this.tree.root.directories].map(({ name }) => name));
    for (const directory of options.sticky)
      if (!kept.has(directory.name)) this.#addSticky(directory);
    if (options.publisher !== undefined)
      this.tree.root.lookup('publish')!.change({ uid: options.publisher });
    this.#sources = options.sources.map(
      (name) =>
        new UeventSource(
          GROUPS[name],
          bus,
          logger,
          trace,
          options.holder,
          state === null ? null : sourceState(state, GROUPS[name].number),
        ),
    );
    const { holder } = options;
    if (holder !== undefined) this.tree.report(() => holder.statusLines());
    for (const source of this.#sources) this.tree.report(() => source.statusLines());
  }

  #restore(table: StateTable): void {
    try {
      restoreTree(this.tree, table);
    } catch (error) {
      this.#owners.close();
      throw error;
    }
  }

  #addSticky({ name, mode }: StickyDirectory): void {
    try {
      this.tree.addSticky(name, mode);
    } catch (error) {
      if (error instanceof FsError)
        throw new UsageError(
          `sticky: ${name}: ${errnoText(error.errno)} (choose a name that the mount does not use)`,
        );
      throw error;
    }
  }

  /**
   * Applies limits and quotas, also to existing queues and users. All other settings of the
   * configuration wait for the next mount.
   */
  configure({ config, listsLinks }: LiveSettings): void {
    const { tree } = this;
    tree.configure({ queueLimits: config.queue, filterLimits: config.filter, listsLinks });
    tree.ledger.setQuotas(tree.recorder === null ? config.quotas : quotasForState(config.quotas));
    tree.bus.setHistoryLimits(config.history);
  }

  /**
   * Warms up the path of an event, opens the outlets, mounts, and starts the sources. Resolves once
   * clients can use the mount.
   *
   * @param onEnd called when the connection ends without {@link stop}: another process unmounted
   * @throws UserError if the mount fails
   */
  async start(onEnd: () => void): Promise<void> {
    await this.#warmUp();
    await this.#openOutlets();
    const { driver, logger, holder: keeper = NO_KEEPER, trace = NO_TRACE } = this.options;
    const host = { tree: this.tree, logger, trace, noteRequest: this.#giveBack.note };
    this.#driver = await openDriver(driver, host, {
      ...this.options,
      keeper,
      recovery: this.#recovery,
      ...(keeper.keeps && { keptInit: new MemfdInit(keeper) }),
    });
    await this.#driver.mount(this.options.path, onEnd);
    await keeper.ready();
    if (this.#recorder?.journal.layout.serving.takeOver() === false)
      throw new UserError('the guardian has ended, and the last daemon serves again');
    this.resume();
    const limits = [
      ...this.#driver.limits,
      ...this.#sources.flatMap((source) => source.limits),
      ...(this.#sources.length > 0 ? networkLimits() : []),
    ];
    if (limits.length > 0)
      logger.warn(`${this.options.path}: ${limits.join('; ')} (docs/without-root.md)`);
  }

  /** Serves requests, deaths and events. */
  resume(): void {
    this.#isPaused = false;
    this.#recorder?.thaw();
    this.#owners.watch.start();
    for (const outlet of this.#outlets) outlet.start?.();
    this.#driver?.serve?.();
    if (this.#recovery.isOver) this.#startSources();
    else this.#recovery.whenOver(() => setImmediate(() => this.#startSources()));
  }

  #startSources(): void {
    if (this.#isPaused) return;
    for (const source of this.#sources) {
      source.start();
      // The kernel has announced the mount's own device (bdi) during mount(2). That event is older
      // than each directory, and must not come into one.
      source.readWaiting();
    }
  }

  /** Wakes readers for files that a death has completed, unless the driver does so later. */
  #settleAlone(): void {
    if (!this.#isPaused && this.#recovery.isOver) this.tree.bus.settle();
  }

  /** @returns false if the next daemon has taken over: this one must not serve again */
  takeBack(): boolean {
    if (this.#recorder?.journal.layout.serving.takeBack() === false) return false;
    this.#driver?.takeBack?.();
    return true;
  }

  /** Serves none of them until {@link resume}: the next daemon may take over. */
  pause(): void {
    this.#isPaused = true;
    for (const source of this.#sources) source.pause();
    this.#driver?.pause?.();
    this.#owners.watch.stop();
    this.#recorder?.commit();
    this.#recorder?.freeze();
    this.#recorder?.journal.layout.serving.yield();
  }

  /** Ends blocked reads with the end of the file, unmounts, and closes everything. */
  stop(): void {
    for (const source of this.#sources) source.close();
    this.#driver?.unmount();
    for (const outlet of this.#outlets) outlet.close();
    this.#outlets = [];
    this.#owners.close();
    this.#giveBack.stop();
    this.options.holder?.release();
  }

  /**
   * Requests wait for a daemon that takes over, so that does not warm up; a standby has done so.
   */
  async #warmUp(): Promise<void> {
    const isFleet = this.options.outlets.fleet === true;
    if (this.#sources.length === 0 && !isFleet) return;
    if (this.options.holder?.takesOver === true) return;
    (await import('./warm-up.js')).warmUp(this.#owners, isFleet);
  }

  async #openOutlets(): Promise<void> {
    const { sources, outlets, path, logger, trace = NO_TRACE, opened } = this.options;
    const { holder: keeper = NO_KEEPER } = this.options;
    const { bus } = this.tree;
    this.#outlets = await openOutlets(outlets, readMaskOf(sources), path, {
      bus,
      filters: this.tree,
      logger,
      trace,
      keeper,
      opened,
    });
    for (const outlet of this.#outlets) {
      bus.attach(outlet);
      this.tree.report(() => outlet.statusLines());
    }
  }
}
