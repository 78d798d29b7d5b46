/** The node of an event in one directory. The directory makes it at the first lookup. */
import type { Event } from '../../bus/event.js';
import { SOURCE_ATTRIBUTE } from '../../uevent/event-source.js';
import type { Entry } from '../../bus/queue.js';
import type { Sink } from '../../bus/sink.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Caller } from '../../owners/owners.js';
import { type AttributeChanges, type Attributes, FileType } from './attributes.js';
import { APPEND, Handle, type HandleType, type Lifetime, Node, type NodeId } from './node.js';
import { HANDLE_BYTES } from '../prices.js';
import { WrittenEvent } from '../written/written-event.js';
import { O_ACCMODE, O_RDONLY, O_TRUNC } from '../../shared/open-flags.js';

const DELIVERED = 'a delivered event cannot be changed';
const SET_BY_DAEMON = `the attribute ${SOURCE_ATTRIBUTE} is read-only`;
const ATTRIBUTES: readonly string[] = [SOURCE_ATTRIBUTE];

/** The directory that the file of an event is in. */
export interface EventFileHost {
  readonly id: NodeId;
  readonly lifetime: Lifetime;
  readonly uid: number;
  readonly gid: number;
  /** The permission bits of a delivered event in this directory. */
  readonly deliveredMode: number;
  /** Checks, before a reader gets what the directory holds, that no owner's death was missed. */
  beforeAnswer(): void;
  /** Runs when the file is opened by its name in this directory. */
  fileOpened(file: EventFile): void;
  /** Runs when the last handle of the file is closed, or the file moves to another directory. */
  fileClosed(file: EventFile): void;
  /** Runs after the kernel has forgotten the file. */
  fileForgotten(file: EventFile): void;
  /** Runs when the file is neither in the queue nor open. */
  disown(file: EventFile): void;
}

/** An event as a file of one directory. */
export class EventFile extends Node implements Entry {
  /** The position in the queue of its directory. */
  position = -1;
  #isDropped = false;
  /** Whether the directory has ended and `closeEarly` has released the event. */
  isClosedEarly = false;
  /** The open file that was opened last; the others follow it. */
  firstOpen: EventHandle | null = null;
  /** How often it was moved: the record of an open file with the most moves has its place. */
  moves = 0;

  /**
   * @param directory the directory that the file is in
   * @param name its name there, which may differ from that of the event
   */
  constructor(
    id: NodeId,
    public directory: EventFileHost,
    public name: string,
    readonly event: Event,
  ) {
    super(id, directory.lifetime);
  }

  override get parentId(): number {
    return this.directory.id;
  }

  override get nameInParent(): string {
    return this.name;
  }

  /** The inode number of the event, which all links to the event show. */
  override get ino(): number {
    return this.event.ino;
  }

  get mode(): number {
    const { event, directory } = this;
    return event instanceof WrittenEvent ? event.mode : FileType.regular | directory.deliveredMode;
  }

  /**
   * stat(2). A written event has an owner, mode and times of its own; a delivered one has those of
   * the directory and the time of the event.
   */
  attributes(to: Attributes): void {
    const { event } = this;
    const owned = event instanceof WrittenEvent ? event : this.directory;
    const { time } = event;
    to.setFile(event.ino, this.mode, event.links, event.length);
    to.setOwner(owned.uid, owned.gid);
    if (event instanceof WrittenEvent) to.setTimes(event.accessed, time, event.changed);
    else to.setTimes(time, time, time);
  }

  /**
   * chmod(2), chown(2), utimensat(2), truncate(2) of a written event.
   * @throws FsError EPERM for a delivered event
   */
  override change(changes: AttributeChanges): void {
    if (!(this.event instanceof WrittenEvent)) throw new FsError(Errno.EPERM, DELIVERED);
    this.event.change(changes);
  }

  /**
   * open(2).
   * @throws FsError ESTALE if the last queue has let the event go since the lookup: the kernel
   * looks the name up again. EPERM if the caller opens a delivered event for writing.
   */
  open(flags: number, caller: Caller): Handle {
    const { event } = this;
    if (event.links === 0 && event.opens === 0)
      throw new FsError(Errno.ESTALE, 'no queue holds the event any more; open its name again');
    const writes = (flags & O_ACCMODE) !== O_RDONLY;
    if (writes && !(event instanceof WrittenEvent)) throw new FsError(Errno.EPERM, DELIVERED);
    if (writes && (flags & O_TRUNC) !== 0) {
      (event as WrittenEvent).truncate(0);
      this.written(caller);
    }
    return new EventHandle(this, writes);
  }

  /**
   * Called after a write. A write by a user other than uid 0 takes set-user-ID and set-group-ID off
   * a written event.
   */
  override written(caller: Caller): void {
    if (caller.uid !== 0 && this.event instanceof WrittenEvent) this.event.dropSetIds();
  }

  override listXattrs(): readonly string[] {
    return ATTRIBUTES;
  }

  /**
   * getxattr(2).
   * @throws FsError ENODATA for another name than SOURCE_ATTRIBUTE
   */
  override getXattr(name: string): string {
    return name === SOURCE_ATTRIBUTE ? this.event.source : super.getXattr(name);
  }

  /**
   * setxattr(2).
   * @throws FsError EPERM for SOURCE_ATTRIBUTE, EOPNOTSUPP for another name
   */
  override setXattr(name: string, value: string, caller: Caller): void {
    if (name === SOURCE_ATTRIBUTE) throw new FsError(Errno.EPERM, SET_BY_DAEMON);
    super.setXattr(name, value, caller);
  }

  /**
   * removexattr(2).
   * @throws FsError EPERM for SOURCE_ATTRIBUTE, ENODATA for another name
   */
  override removeXattr(name: string, caller: Caller): void {
    if (name === SOURCE_ATTRIBUTE) throw new FsError(Errno.EPERM, SET_BY_DAEMON);
    super.removeXattr(name, caller);
  }

  /**
   * rename(2): moves the file to a name in this directory or another. It takes on the lifetime of
   * that directory.
   */
  moveTo(directory: EventFileHost, name: string): void {
    if (this.opens > 0) {
      this.directory.fileClosed(this);
      directory.fileOpened(this);
    }
    this.directory = directory;
    this.lifetime = directory.lifetime;
    this.name = name;
    this.moves++;
    this.firstOpen?.nodeMoved(); // a user may have it open 26,000 times, so not for all of them
    if (this.event instanceof WrittenEvent) this.event.renamed();
  }

  /**
   * Runs when the queue has dropped the file by itself. The kernel keeps the inode until it needs
   * the memory; an open file needs the node until it is closed.
   */
  dropped(): void {
    this.#isDropped = true;
    this.letGoIfUnused();
  }

  /** Disowns the node if the queue has dropped it and it is not open. */
  letGoIfUnused(): void {
    if (this.#isDropped && this.opens === 0) this.directory.disown(this);
  }

  /**
   * Releases the event for the open files of a directory that has ended: no process can read or
   * write through them any more.
   */
  closeEarly(): void {
    this.isClosedEarly = true;
    this.firstOpen?.endWrites();
    this.event.close(this.opens);
  }

  /**
   * An open file keeps a delivered event, so it is charged the event's text too. The text of a
   * written event is charged where it was written.
   */
  override get openHeap(): number {
    return HANDLE_BYTES + (this.event instanceof WrittenEvent ? 0 : this.event.length);
  }

  override forgotten(): void {
    this.directory.fileForgotten(this);
  }
}

/** An open event file. */
export class EventHandle extends Handle {
  /** The neighbours in the list of the open files of the same node. */
  #previous: EventHandle | null = null;
  #next: EventHandle | null;

  /** @param writes whether the file is open for writing */
  constructor(
    override readonly node: EventFile,
    readonly writes: boolean,
  ) {
    super(node);
    if (node.opens === 0) node.directory.fileOpened(node);
    node.event.opens++;
    this.#next = node.firstOpen;
    if (this.#next !== null) this.#next.#previous = this;
    node.firstOpen = this;
    if (node.event instanceof WrittenEvent && writes) node.event.writerOpened();
  }

  override read(offset: number, sink: Sink): boolean {
    const { event, directory } = this.node;
    directory.beforeAnswer();
    const rest = event.length - offset;
    if (rest > 0) sink.put(event.bytes, event.start + offset, Math.min(rest, sink.room));
    return true;
  }

  /**
   * write(2).
   * @returns `length`
   * @throws FsError EBADF if the file is not open for writing
   */
  override write(bytes: Uint8Array, start: number, length: number, offset: number): number {
    const { event } = this.node;
    if (!this.writes || !(event instanceof WrittenEvent))
      throw new FsError(Errno.EBADF, 'the file is not open for writing');
    event.write(bytes, start, length, offset === APPEND ? event.length : offset);
    return length;
  }

  override get recordType(): HandleType {
    return 'event';
  }

  protected override get recordNumbers(): string {
    return `${this.node.event.ino} ${this.writes ? 1 : 0} ${this.node.moves}`;
  }

  /** Makes the next commit record this open file with the place of its node. */
  nodeMoved(): void {
    this.changed();
  }

  /**
   * Ends the writes of this open file of a node whose directory has ended, and of all that follow.
   */
  endWrites(): void {
    const { event } = this.node;
    if (!(event instanceof WrittenEvent)) return;
    if (this.writes) event.writerClosed();
    for (let handle = this.#next; handle !== null; handle = handle.#next)
      if (handle.writes) event.writerClosed();
  }

  #leaveNode(): void {
    const [previous, next] = [this.#previous, this.#next];
    if (previous === null) this.node.firstOpen = next;
    else previous.#next = next;
    if (next !== null) next.#previous = previous;
    if (this.node.moves > 0) this.node.firstOpen?.nodeMoved(); // its record may have an old place
  }

  /** close(2). Releases the event, unless `closeEarly` has done so. */
  override release(): void {
    const { node } = this;
    this.#leaveNode();
    const { event, directory } = node;
    if (node.isClosedEarly) return;
    if (event instanceof WrittenEvent && this.writes) event.writerClosed();
    if (node.opens === 0) directory.fileClosed(node);
    event.close();
    node.letGoIfUnused();
  }
}
