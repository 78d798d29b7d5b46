/** The lines of `log/.status`: what the whole daemon holds and has counted. */
import type { Bus } from '../bus/bus.js';
import type { Owners } from '../owners/owners.js';
import { descriptorRefusals } from '../owners/process.js';
import { recentRate } from '../bus/rate.js';
import { clock } from '../shared/clock.js';
import type { StatusLines } from '../shared/status-lines.js';
import type { Deliveries } from './deliveries.js';
import { metricsText } from './metrics/exposition.js';
import type { Sample } from './metrics/families.js';
import { samplesOf, totalSamples } from './metrics/samples.js';
import type { InotifyQueue } from './inotify/inotify-queue.js';
import type { RootDirectory } from './nodes/root-directory.js';
import type { QuotaLedger } from './quota/ledger.js';
import { type Totals, streamLines, streamTotals } from './streams/stream-status.js';
import type { Streams } from './streams/streams.js';

/** The parts of the tree that have lines. */
interface StatusSources {
  readonly bus: Bus;
  readonly root: RootDirectory;
  readonly deliveries: Deliveries;
  readonly owners: Owners;
  readonly streams: Streams;
  readonly ledger: QuotaLedger;
  readonly inotify: InotifyQueue;
}

/** Returns the totals of all process directories. */
function directoryTotals({ root, deliveries }: StatusSources): Totals {
  let [pending, most, lost] = [0, 0, deliveries.lostByEnded];
  for (const { queue, lifetime } of root.directories) {
    lost += queue.lost;
    if (lifetime.over) continue;
    pending += queue.entries.size;
    most = Math.max(most, queue.entries.size);
  }
  return { pending, most, lost };
}

/** Makes the lines, which parts of the daemon outside the tree can add to. */
export class DaemonStatus {
  readonly #counters: (() => StatusLines)[] = [];
  readonly #startMs = clock.epochMs();

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
    const ofDirectories = directoryTotals(this.sources);
    const ofStreams = streamTotals(streams);
    return [
      ['DAEMON', process.pid],
      ['STARTED', Math.floor(this.#startMs / 1000)],
      ['SEQNUM', bus.lastSeqnum],
      ['RATE', Number(recentRate(bus.log, clock.epochMs(), this.#startMs).toFixed(3))],
      ['KERNEL', bus.counted.kernel],
      ['UDEV', bus.counted.udev],
      ['PUBLISHED', bus.counted.published],
      ['PUBLISH_CUT', bus.counted.cut],
      ['LOST', bus.lost],
      ['KEPT', bus.log.next - bus.log.oldest],
      ['MOST_KEPT', bus.log.limits.events],
      ['DIRECTORIES_PENDING', ofDirectories.pending],
      ['DIRECTORIES_LOST', ofDirectories.lost],
      ['STREAMS_PENDING', ofStreams.pending],
      ['STREAMS_LOST', ofStreams.lost],
      ['DIRECTORIES', root.size],
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
      ...streamLines(streams),
    ];
  }

  /**
   * Returns the text of `log/.metrics`.
   * @param lines the lines of `log/.status`
   */
  metrics(lines: StatusLines): string {
    return metricsText([
      ...samplesOf(lines),
      ...totalSamples('directory', directoryTotals(this.sources)),
      ...totalSamples('stream', streamTotals(this.sources.streams)),
      ...this.#stickySamples(),
    ]);
  }

  /** Returns the samples of the directories that the daemon itself owns: those of `--sticky`. */
  #stickySamples(): Sample[] {
    const samples: Sample[] = [];
    for (const { owner, queue, name } of this.sources.root.directories) {
      if (owner.pid !== process.pid) continue;
      const labels = { directory: name };
      samples.push(
        { family: 'directory_pending_events', labels, value: queue.entries.size },
        { family: 'directory_added_events_total', labels, value: queue.entries.added },
        { family: 'directory_lost_events_total', labels, value: queue.lost },
      );
    }
    return samples;
  }
}
