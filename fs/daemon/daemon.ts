/** Puts the parts together; the only place that knows them all. */
import { allocatePages, discardPages, raiseFileLimit } from '#native';
import type { Config } from './config/config.js';
import { FsError, Misuse, errnoText } from '../shared/errors.js';
import { Arena } from '../bus/arena.js';
import { Bus } from '../bus/bus.js';
import { Log } from '../bus/log.js';
import { Mint } from '../shared/id-allocator.js';
import { type DevFuseOptions, type Driver, type DriverName, openDriver } from '../drivers/driver.js';
import { FUSE_ROOT_ID } from '../fuse/abi.js';
import type { Complain } from '../shared/complaints.js';
import { GiveBack } from './memory.js';
import { Owners } from '../owners/owners.js';
import { rehearse } from './warm-up.js';
import { type OutletOptions, openOutlets } from '../outlets/open-outlets.js';
import type { WayOut } from '../outlets/outlet.js';
import { KERNEL } from '../sources/kernel.js';
import { UDEV } from '../sources/udev.js';
import { UeventSource } from '../sources/uevent-source.js';
import { Tree } from '../tree/tree.js';

export interface StickyDirectory {
  readonly name: string;
  readonly mode: number;
}

const GROUPS = { kernel: KERNEL, udev: UDEV } as const;
export type SourceName = keyof typeof GROUPS;

export interface DaemonOptions extends DevFuseOptions {
  /** Where to mount, as mountinfo would show it. */
  readonly path: string;
  /** The netlink groups that feed the tree; there may be none. */
  readonly sources: readonly SourceName[];
  /** More ways out of the bus. */
  readonly outlets: OutletOptions;
  readonly driver: DriverName;
  /** Directories that are there from the start and stay, with their modes. */
  readonly sticky: readonly StickyDirectory[];
  readonly config: Config;
  /** Where warnings and unexpected errors go. */
  readonly complain: Complain;
}

/**
 * Replaces Node's handler of SIGUSR1 where the program has no listener of its own: Node's opens a port through which every local
 * user can run code in this process.
 */
function keepDebuggerShut(): void {
  if (process.listenerCount('SIGUSR1') === 0) process.on('SIGUSR1', () => undefined);
}

export class Daemon {
  readonly tree: Tree;
  readonly #owners = new Owners(() => this.#giveBack.note());
  readonly #giveBack: GiveBack;
  #driver: Driver | null = null;
  readonly #sources: readonly UeventSource[];
  #outlets: readonly WayOut[] = [];

  constructor(private readonly options: DaemonOptions) {
    raiseFileLimit(); // each owner costs a descriptor
    keepDebuggerShut();
    const bus = new Bus(new Log(options.config.ring, new Arena({ allocate: allocatePages, discard: discardPages })), new Mint(FUSE_ROOT_ID));
    this.tree = new Tree(bus, this.#owners);
    this.tree.complain = options.complain;
    this.#giveBack = new GiveBack(() => this.tree.ledger.mount.memory, options.complain);
    this.tree.report(() => this.#giveBack.statusLines());
    this.configure(options.config);
    for (const directory of options.sticky) this.#addSticky(directory);
    this.#sources = options.sources.map((name) => new UeventSource(GROUPS[name], bus, options.complain));
    if (this.#sources.length > 0) rehearse(this.#owners);
    for (const source of this.#sources) this.tree.report(() => source.statusLines());
  }

  #addSticky({ name, mode }: StickyDirectory): void {
    try {
      this.tree.addSticky(name, mode);
    } catch (error) {
      if (error instanceof FsError) throw new Misuse(`sticky: ${name}: ${errnoText(error.errno)} (give each another name that means nothing yet)`);
      throw error;
    }
  }

  /** Bounds and quotas, which hold for what there is too; what else is in the configuration is for the next mount. */
  configure({ queue, history, filter, quotas }: Config): void {
    const { tree } = this;
    tree.setQueueLimits(queue);
    tree.filterLimits = filter;
    tree.ledger.setQuotas(quotas);
    tree.bus.history.limits = history;
  }

  /** Mounts and serves; resolves once clients can come. `onEnd` when somebody else unmounts. */
  async start(onEnd: () => void): Promise<void> {
    this.#openOutlets();
    const { driver, complain } = this.options;
    this.#driver = await openDriver(driver, this.tree, complain, this.options, this.#giveBack.note);
    await this.#driver.mount(this.options.path, onEnd);
    this.#owners.watch.start();
    for (const source of this.#sources) source.start();
  }

  /** Ends blocked readers with the end of the file, unmounts and closes everything. */
  stop(): void {
    for (const source of this.#sources) source.close();
    this.#driver?.unmount();
    for (const outlet of this.#outlets) outlet.close();
    this.#outlets = [];
    this.#owners.close();
    this.#giveBack.stop();
  }

  #openOutlets(): void {
    const { sources, outlets, path, complain } = this.options;
    const { bus } = this.tree;
    const readMask = sources.reduce((mask, name) => mask | (1 << (GROUPS[name].number - 1)), 0);
    this.#outlets = openOutlets(outlets, bus, this.tree, readMask, path, complain);
    for (const outlet of this.#outlets) {
      bus.outlets.push(outlet);
      this.tree.report(() => outlet.statusLines());
    }
  }
}
