/**
 * `log/`: the last events as files. The daemon owns the directory, so it lasts as long as the
 * mount.
 */
import { MOUNT_USER } from './attributes.js';
import { EventDirectory } from './event-directory.js';
import { Errno, FsError } from '../../shared/errors.js';
import { type Attributes, FOREVER, FileType, type Node, type NodeId } from './node.js';
import { fixedNameAt } from './fixed/fixed-names.js';
import { METRICS, MetricsFile } from './fixed/metrics-file.js';
import { StatusFile } from './fixed/text-file.js';
import { HistoryRecord } from '../restore/history-record.js';
import type { QueueRecord } from '../restore/queue-record.js';
import type { Recorder } from '../../state/recorder.js';
import type { StatusLines } from '../../shared/status-lines.js';
import type { TreeContext } from '../context.js';

/** The source of the reports in `log/`: the tree. */
interface Reports {
  /** Returns the lines of `log/.status`. */
  statusLines(): StatusLines;
  /** Returns the text of `log/.metrics`, one character for each byte. */
  metrics(): string;
}

/** A fixed name that `log/` lacks: `.metrics` has its number, which each later daemon knows. */
const UNUSED = '.since';

/** The directory `log/`. It belongs to the daemon's user, and only the daemon changes it. */
export class LogDirectory extends EventDirectory {
  readonly name = 'log';
  /**
   * The daemon refuses each new file, whatever the mode says. A notifier without root raises
   * inotify events only where the kernel lets its user write.
   */
  readonly mode = FileType.directory | (MOUNT_USER.uid === 0 ? 0o555 : 0o755);
  readonly uid = MOUNT_USER.uid;
  readonly gid = MOUNT_USER.gid;

  constructor(
    context: TreeContext,
    id: NodeId,
    private readonly reports: Reports,
  ) {
    super(context, id, FOREVER, context.bus.history);
  }

  /** Every user may read an event, because `stream` shows it to every user. */
  override get deliveredMode(): number {
    return 0o444;
  }

  protected override recordQueue(recorder: Recorder): QueueRecord {
    return new HistoryRecord(recorder, this.id, this.queue, this);
  }

  /** Only `log/` has the name `.metrics`. In a process directory it is a name like any other. */
  override lookup(name: string): Node | undefined {
    return name === METRICS ? this.fixture(name) : super.lookup(name);
  }

  override inodeOf(name: string): number {
    return super.inodeOf(name === METRICS ? UNUSED : name);
  }

  override fixtureAt(offset: number): Node | undefined {
    return fixedNameAt(offset) === UNUSED ? this.fixture(METRICS) : super.fixtureAt(offset);
  }

  protected override makeFixture(name: string): Node | undefined {
    if (name === METRICS) return new MetricsFile(this.fixtureId(name), this, name);
    return name === '.status'
      ? new StatusFile(this.fixtureId(name), this, name)
      : super.makeFixture(name);
  }

  /** @throws FsError EPERM: only the daemon removes entries of the log */
  protected removeEntry(): void {
    throw new FsError(Errno.EPERM, 'only the daemon removes files from log/');
  }

  /** @throws FsError EPERM: only the daemon adds entries to the log */
  override create(): never {
    throw new FsError(Errno.EPERM, 'only the daemon adds files to log/');
  }

  /** Records nothing: `log/` never ends, so no open file has to be closed early. */
  override fileOpened(): void {}

  /** stat(2): mtime and ctime are those of the newest event. */
  override attributes(to: Attributes): void {
    super.attributes(to);
    const newest = this.queue.entries.last();
    if (newest !== undefined) to.mtime = to.ctime = newest.event.time;
  }

  /** Returns the lines of `log/.status`. */
  statusLines(): StatusLines {
    return this.reports.statusLines();
  }

  /** Returns the text of `log/.metrics`. */
  metrics(): string {
    return this.reports.metrics();
  }
}
