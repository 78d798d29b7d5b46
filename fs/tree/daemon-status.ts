/** The lines of `log/.status`: what the whole daemon holds and has counted. */
import type { Bus } from '../bus/bus.js';
import type { Owners } from '../owners/owners.js';
import { descriptorRefusals } from '../owners/process.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { InotifyQueue } from './inotify/inotify-queue.js';
import type { RootDirectory } from './nodes/root-directory.js';
import type { QuotaLedger } from './quota/ledger.js';
import type { Streams } from './streams/streams.js';

/** The parts of the tree that have lines. */
export interface StatusSources {
  readonly bus: Bus;
  readonly root: RootDirectory;
  readonly owners: Owners;
  readonly streams: Streams;
  readonly ledger: QuotaLedger;
  readonly inotify: InotifyQueue;
}

/** Makes the lines, which parts of the daemon outside the tree can add to. */
export class DaemonStatus {
  readonly #counters: (() => StatusLines)[] = [];

  constructor(private readonly sources: StatusSources) {}

  /**
   * Adds lines.
   * @param counters returns the lines; called each time the daemon makes the text
   */
  add(counters: () => StatusLines): void {
    this.#counters.push(counters);
  }

  /**
   * Returns the lines.
   * @param nodes the number of nodes that the kernel knows
   * @param handles the number of open files
   */
  lines(nodes: number, handles: number): StatusLines {
    const { bus, root, owners, streams, ledger, inotify } = this.sources;
    return [
      ['DAEMON', process.pid],
      ['SEQNUM', bus.lastSeqnum],
      ['KERNEL', bus.counted.kernel],
      ['UDEV', bus.counted.udev],
      ['PUBLISHED', bus.counted.published],
      ['PUBLISH_CUT', bus.counted.cut],
      ['LOST', bus.lost],
      ['KEPT', bus.log.next - bus.log.oldest],
      ['DIRECTORIES', root.directories.size],
      ['OWNERS', owners.size],
      ...owners.endings.statusLines(),
      ['STREAMS', streams.size],
      ['NODES', nodes],
      ['HANDLES', handles],
      ...ledger.statusLines(),
      ...(descriptorRefusals.count > 0
        ? ([['REFUSED_DESCRIPTORS', descriptorRefusals.count]] as const)
        : []),
      ...inotify.statusLines(),
      ...this.#counters.flatMap((lines) => lines()),
      ...streams.statusLines(),
    ];
  }
}
