/** `log/`: the last events as files. The daemon is its owner, so it is there as long as the mount. */
import type { Caller } from '../../owners/owners.js';
import { EventDirectory } from './event-directory.js';
import { Errno, FsError } from '../../shared/errors.js';
import { type Attributes, FOREVER, FileType, type Node, type NodeId } from './node.js';
import { StatusFile } from './text-file.js';
import type { StatusLines } from '../../shared/status-lines.js';
import type { TreeContext } from '../context.js';

export class LogDirectory extends EventDirectory {
  readonly name = 'log';
  readonly mode = FileType.directory | 0o555;
  readonly uid = 0;
  readonly gid = 0;

  /** @param daemonLines what `log/.status` says */
  constructor(
    context: TreeContext,
    id: NodeId,
    private readonly daemonLines: () => StatusLines,
  ) {
    super(context, id, FOREVER, context.bus.history);
  }

  protected override makeFixture(name: string): Node | undefined {
    return name === '.status'
      ? new StatusFile(this.context.newNodeId(), this, name)
      : super.makeFixture(name);
  }

  protected removeEntry(): void {
    throw new FsError(Errno.EPERM, 'the log forgets by itself');
  }

  override create(_name: string, _mode: number, _flags: number, _caller: Caller): never {
    throw new FsError(Errno.EPERM, 'only the daemon writes the log');
  }

  /** It never ends. */
  override fileOpened(): void {}

  override attributes(to: Attributes): void {
    super.attributes(to);
    const newest = this.queue.entries.last();
    if (newest !== undefined) to.mtime = to.ctime = newest.event.time;
  }

  statusLines(): StatusLines {
    return this.daemonLines();
  }
}
