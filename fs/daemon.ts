/** Puts the parts together; the only place that knows them all. */
import { raiseFileLimit } from '#native';
import type { Config } from './config/config.js';
import { FsError, Misuse, errnoText } from './errno.js';
import { Bus } from './events/bus.js';
import { Log } from './events/log.js';
import { Mint } from './events/mint.js';
import { type Driver, type DriverName, openDriver } from './drivers/driver.js';
import { FUSE_ROOT_ID } from './fuse/abi.js';
import type { Complain } from './fuse/session.js';
import { Owners } from './owners/owners.js';
import { rehearse } from './rehearsal.js';
import { KernelSource } from './sources/kernel.js';
import { Tree } from './tree/tree.js';

export interface StickyDirectory {
  readonly name: string;
  readonly mode: number;
}

export interface DaemonOptions {
  /** Where to mount, as mountinfo would show it. */
  readonly path: string;
  readonly source: 'kernel' | 'none';
  readonly driver: DriverName;
  /** Directories that are there from the start and stay, with their modes. */
  readonly sticky: readonly StickyDirectory[];
  /** How many microseconds to look for the next request before sleeping; 0: not at all. */
  readonly busyPollUs: number;
  readonly config: Config;
  /** Where warnings and unexpected errors go. */
  readonly complain: Complain;
}

export class Daemon {
  readonly tree: Tree;
  readonly #owners = new Owners();
  #driver: Driver | null = null;
  readonly #source: KernelSource | null;

  constructor(private readonly options: DaemonOptions) {
    raiseFileLimit(); // each owner costs a descriptor
    const bus = new Bus(new Log(options.config.ring), new Mint(FUSE_ROOT_ID));
    this.tree = new Tree(bus, this.#owners);
    this.configure(options.config);
    for (const directory of options.sticky) this.#addSticky(directory);
    this.#source = options.source === 'kernel' ? new KernelSource(bus, options.complain) : null;
    const source = this.#source;
    if (source === null) return;
    rehearse(this.#owners);
    this.tree.report(() => source.statusLines());
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
  configure({ queue, history, quotas }: Config): void {
    const { tree } = this;
    tree.setQueueLimits(queue);
    tree.ledger.setQuotas(quotas);
    tree.bus.history.limits = history;
  }

  /** Mounts and serves; resolves once clients can come. `onEnd` when somebody else unmounts. */
  async start(onEnd: () => void): Promise<void> {
    const { driver, complain, busyPollUs } = this.options;
    this.#driver = await openDriver(driver, this.tree, complain, busyPollUs);
    await this.#driver.mount(this.options.path, onEnd);
    this.#owners.watch.start();
    this.#source?.start();
  }

  /** Ends blocked readers with the end of the file, unmounts and closes everything. */
  stop(): void {
    this.#source?.close();
    this.#driver?.unmount();
    this.#owners.close();
  }
}
