/** Puts the parts together; the only place that knows them all. */
import { raiseFileLimit } from '#native';
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

/** The log's ring, and with it what a stream may lag behind (DESIGN section 3, Bounds). */
const LOG_LIMITS = { bytes: 4 * 1024 * 1024, events: 4096 };

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
    const bus = new Bus(new Log(LOG_LIMITS), new Mint(FUSE_ROOT_ID));
    this.tree = new Tree(bus, this.#owners);
    for (const { name, mode } of options.sticky) this.tree.addSticky(name, mode);
    this.#source = options.source === 'kernel' ? new KernelSource(bus, options.complain) : null;
    const source = this.#source;
    if (source === null) return;
    rehearse(this.#owners);
    this.tree.report(() => source.statusLines());
  }

  /** Mounts and serves; resolves once clients can come. `onEnd` when somebody else unmounts. */
  async start(onEnd: () => void): Promise<void> {
    this.#driver = await openDriver(this.options.driver, this.tree, this.options.complain);
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
