/** An event as a file of one directory: what its node id stands for. Made when it is looked up. */
import type { Event } from '../../bus/event.js';
import type { Entry } from '../../bus/queue.js';
import type { Sink } from '../../bus/sink.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Caller } from '../../owners/owners.js';
import {
  APPEND,
  type AttributeChanges,
  type Attributes,
  FileType,
  Handle,
  type Lifetime,
  Node,
  type NodeId,
} from './node.js';
import { HANDLE_BYTES } from '../prices.js';
import { WrittenEvent } from '../written-event.js';
import { O_ACCMODE, O_RDONLY, O_TRUNC } from '../../shared/open-flags.js';

/** An event that was delivered is its directory's user's to read. */
const DELIVERED_MODE = FileType.regular | 0o440;

/** The directory that an event's file is in. */
export interface EventFileHost {
  readonly lifetime: Lifetime;
  readonly uid: number;
  readonly gid: number;
  /** A reader is about to get what is in here: checks that no owner's death was missed. */
  beforeAnswer(): void;
  /** The file has been opened by its name here. */
  fileOpened(file: EventFile): void;
  /** Its last open file is closed, or is another directory's now. */
  fileClosed(file: EventFile): void;
  /** The kernel has forgotten the file. */
  fileForgotten(file: EventFile): void;
  /** The file is no longer in the queue, and not open. */
  disown(file: EventFile): void;
}

export class EventFile extends Node implements Entry {
  /** Where it stands in its directory's queue. */
  position = -1;
  #isDropped = false;
  /** The directory has ended, and with it the open files' hold on the event. */
  isClosedEarly = false;

  constructor(
    id: NodeId,
    public directory: EventFileHost,
    public name: string,
    readonly event: Event,
  ) {
    super(id, directory.lifetime);
  }

  /** All links to an event show the same inode number, whatever node ids the kernel knows them by. */
  override get ino(): number {
    return this.event.ino;
  }

  get mode(): number {
    return this.event instanceof WrittenEvent ? this.event.mode : DELIVERED_MODE;
  }

  attributes(to: Attributes): void {
    const { event } = this;
    const owned = event instanceof WrittenEvent ? event : this.directory;
    to.ino = event.ino;
    to.size = event.length;
    to.mode = this.mode;
    to.nlink = event.links;
    to.uid = owned.uid;
    to.gid = owned.gid;
    to.atime = event instanceof WrittenEvent ? event.accessed : event.time;
    to.mtime = event.time;
    to.ctime = event instanceof WrittenEvent ? event.changed : event.time;
  }

  override change(changes: AttributeChanges): void {
    if (!(this.event instanceof WrittenEvent))
      throw new FsError(Errno.EPERM, 'a delivered event does not change');
    this.event.change(changes);
  }

  /** ESTALE when the last queue has let go since the lookup: the kernel looks again. EPERM to write a delivered event. */
  open(flags: number, caller: Caller): Handle {
    const { event } = this;
    if (event.links === 0 && event.opens === 0)
      throw new FsError(Errno.ESTALE, 'the last queue has let the event go');
    const writes = (flags & O_ACCMODE) !== O_RDONLY;
    if (writes && !(event instanceof WrittenEvent))
      throw new FsError(Errno.EPERM, 'a delivered event does not change');
    if (writes && (flags & O_TRUNC) !== 0) {
      (event as WrittenEvent).truncate(0);
      this.written(caller);
    }
    return new EventHandle(this, writes);
  }

  override written(caller: Caller): void {
    if (caller.uid !== 0 && this.event instanceof WrittenEvent) this.event.dropSetIds();
  }

  /** rename(2): it is found elsewhere from now on, and lives as long as that. */
  moveTo(directory: EventFileHost, name: string): void {
    if (this.opens > 0) {
      this.directory.fileClosed(this);
      directory.fileOpened(this);
    }
    this.directory = directory;
    this.lifetime = directory.lifetime;
    this.name = name;
    if (this.event instanceof WrittenEvent) this.event.renamed();
  }

  /** The kernel keeps its inode until it needs the memory; who has it open needs the node until it is closed. */
  dropped(): void {
    this.#isDropped = true;
    this.letGoIfUnused();
  }

  /** Lets the node go, if the queue has dropped it and nobody has it open any more. */
  letGoIfUnused(): void {
    if (this.#isDropped && this.opens === 0) this.directory.disown(this);
  }

  /** The directory has ended: nobody can read through what is open, so that the event is not kept for that. */
  closeEarly(): void {
    this.isClosedEarly = true;
    this.event.close(this.opens);
  }

  /** A delivered event is kept for whoever has it open; a file's text is charged where it was written. */
  override get openHeap(): number {
    return HANDLE_BYTES + (this.event instanceof WrittenEvent ? 0 : this.event.length);
  }

  override forgotten(): void {
    this.directory.fileForgotten(this);
  }
}

export class EventHandle extends Handle {
  constructor(
    override readonly node: EventFile,
    readonly writes: boolean,
  ) {
    super(node);
    if (node.opens === 0) node.directory.fileOpened(node);
    node.event.opens++;
    if (node.event instanceof WrittenEvent && writes) node.event.writerOpened();
  }

  override read(offset: number, sink: Sink): boolean {
    const { event, directory } = this.node;
    directory.beforeAnswer();
    const rest = event.length - offset;
    if (rest > 0) sink.put(event.bytes, event.start + offset, Math.min(rest, sink.room));
    return true;
  }

  override write(bytes: Uint8Array, start: number, length: number, offset: number): number {
    const { event } = this.node;
    if (!this.writes || !(event instanceof WrittenEvent))
      throw new FsError(Errno.EBADF, 'it is not open for writing');
    event.write(bytes, start, length, offset === APPEND ? event.length : offset);
    return length;
  }

  override release(): void {
    const { node } = this;
    const { event, directory } = node;
    if (event instanceof WrittenEvent && this.writes) event.writerClosed();
    if (node.isClosedEarly) return;
    if (node.opens === 0) directory.fileClosed(node);
    event.close();
    node.letGoIfUnused();
  }
}
