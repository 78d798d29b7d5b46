/** A directory that belongs to one process and ends with it; it is a queue that `ls` shows. */
import { type Event, type Timestamp, now } from '../events/event.js';
import { Filter } from '../events/filter.js';
import { Queue, type QueueLimits } from '../events/queue.js';
import { Errno, FsError } from '../errno.js';
import type { Caller, Mortal, Owner } from '../owners/owners.js';
import { EventDirectory } from './event-directory.js';
import { EventFile } from './event-file.js';
import { FilterFile } from './filter-file.js';
import type { Handle } from './handle.js';
import { type AttributeChanges, type Attributes, FileType, Lifetime, type Node, type NodeId } from './node.js';
import { QueueReaders, QueueStreamFile } from './queue-stream.js';
import { type StatusLines, StatusFile } from './text-file.js';
import type { Tree } from './tree.js';
import { WrittenEvent } from './written-event.js';

/** How much a queue holds (DESIGN section 3, Bounds). */
export const QUEUE_LIMITS: QueueLimits = { events: 4096, bytes: 4 * 1024 * 1024 };

/** All that all directories begin with: everything is taken. */
const EVERYTHING = Filter.parse('');

export class ProcessDirectory extends EventDirectory implements Mortal {
  filter = EVERYTHING;
  readonly readers = new QueueReaders();
  mode: number;
  #changed: Timestamp = this.born;

  constructor(
    tree: Tree,
    id: NodeId,
    readonly name: string,
    readonly owner: Owner,
    mode: number,
    public uid: number,
    public gid: number,
  ) {
    super(tree, id, new Lifetime(), new Queue(QUEUE_LIMITS));
    this.mode = FileType.directory | (mode & 0o7777);
  }

  /** An event has come: if the filter lets it, it is linked in. */
  deliver(event: Event): void {
    if (!this.filter.all && !event.always && !this.filter.matches(event)) return;
    this.queue.add(this.entryFor(event));
    this.#changed = event.time;
    if (this.readers.any) this.tree.unsettled.add(this);
  }

  /** Whoever waits gets what has come. */
  settle(): void {
    this.readers.settle(this.tree.door, this.queue.complete);
  }

  setFilter(filter: Filter): void {
    this.filter = filter;
  }

  protected override makeFixture(name: string): Node | undefined {
    switch (name) {
      case '.stream':
        return new QueueStreamFile(this.tree.mintNodeId(), this, name);
      case '.filter':
        return new FilterFile(this.tree.mintNodeId(), this, name);
      case '.status':
        return new StatusFile(this.tree.mintNodeId(), this, name);
      default:
        return super.makeFixture(name);
    }
  }

  /** open(2) with O_CREAT. The file joins the queue's end now, and streams take it once it is closed. */
  override create(name: string, mode: number, flags: number, caller: Caller): Handle {
    if (name === 'head' || name === 'tail') throw new FsError(Errno.EPERM, `${name} is the name of a symlink`);
    const event = new WrittenEvent(name, this.tree.mintInode(), mode, caller.uid, caller.gid);
    const file = new EventFile(this.tree.mintNodeId(), this, name, event);
    this.queue.add(file);
    this.touched();
    const handle = file.open(flags);
    if (event.complete) this.fileComplete(); // made to be read only: there is nothing to wait for
    return handle;
  }

  override fileComplete(): void {
    if (this.lifetime.over || !this.readers.any) return;
    this.tree.unsettled.add(this);
    this.tree.bus.settleLater();
  }

  protected override removeEntry(name: string): void {
    this.queue.remove(name);
    this.touched();
  }

  /** Its contents have changed. */
  touched(): void {
    this.#changed = now();
  }

  /** chmod(2), chown(2), utimensat(2). */
  override change(changes: AttributeChanges): void {
    if (changes.size !== undefined) throw new FsError(Errno.EISDIR);
    if (changes.mode !== undefined) this.mode = FileType.directory | (changes.mode & 0o7777);
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
    this.#changed = changes.mtime ?? this.#changed;
  }

  override attributes(to: Attributes): void {
    super.attributes(to);
    to.mtime = to.ctime = this.#changed;
  }

  /**
   * Whether rmdir(2) may take it: it is empty, or holds nothing but delivered events that came after the last listing.
   * Else `rm -r` of a live queue would fail whenever an event comes between its last unlink and its rmdir.
   */
  get removable(): boolean {
    const { entries } = this.queue;
    if (entries.size === 0) return true;
    if (this.listedTo < 0 || entries.seek(0) < this.listedTo) return false;
    for (const entry of entries) if (entry.event instanceof WrittenEvent) return false;
    return true;
  }

  /** The owner is dead: from now on nobody reaches the directory or what it held. */
  ownerDied(): void {
    this.tree.root.drop(this);
    this.end();
  }

  /** Lets go of everything. */
  end(): void {
    this.lifetime.over = true;
    this.letGo();
    this.readers.end(this.tree.door);
  }

  statusLines(): StatusLines {
    return [
      ['OWNER', this.owner.pid],
      ['PENDING', this.queue.entries.size],
      ['BYTES', this.queue.bytes],
      ['LOST', this.queue.lost],
      ['STREAMS', this.readers.opened],
      ['WAITING', this.readers.waiting.size],
      ['FILTER', this.filter.text.replaceAll('\n', '; ')],
    ];
  }
}
