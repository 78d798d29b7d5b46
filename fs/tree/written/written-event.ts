/**
 * An event that a user makes as a file of a process directory. Users can change its text, and it
 * has a uid, a gid and a mode.
 */
import type { Arena } from '../../bus/arena.js';
import type { EventQuota } from '../../bus/quota.js';
import { Event, type Holder, NOT_LOGGED, NO_TEXT, TRAILER_BYTES } from '../../bus/event.js';
import { type Timestamp, now } from '../../shared/timestamp.js';
import { MAX_EVENT_BYTES } from '../../uevent/text.js';
import { Errno, FsError } from '../../shared/errors.js';
import { PERMISSION_BITS } from '../nodes/attributes.js';
import { type AttributeChanges, FileType } from '../nodes/node.js';
import { WRITTEN_EVENT_BYTES } from '../prices.js';
import { withoutSetIds } from './set-ids.js';
import { mostRoomFor, roomFor } from './text-room.js';
import { assertGrowthFits, makeRoomIn } from './growth.js';
import { writtenFields } from './written-record.js';
import { LF } from '../../shared/ascii.js';
import type { Journal } from '../../state/journal.js';
import type { Recorded, Recorder } from '../../state/recorder.js';
import { recordText } from '../../state/text-record.js';

/** The reason in the EFBIG of a write or truncation beyond the maximum size of an event. */
export const TOO_LONG = `an event has at most ${MAX_EVENT_BYTES} bytes`;

/** An event that a user makes as a file. */
export class WrittenEvent extends Event implements Recorded {
  isMarked = false;
  /** Whether the text has changed since it was recorded. */
  #hasNewText = false;
  /**
   * The number of open files that may write it. While there is one, streams leave it in the queue.
   */
  #writers = 0;
  /**
   * The queues that hold it, and the number of links of each. A queue charges its size for each
   * link.
   */
  readonly #holders = new Map<Holder, number>();
  /**
   * The account charged while only open files hold the event: that of the last queue; else null.
   */
  keeper: EventQuota | null = null;
  /** st_mode: type and permissions (inode(7)). */
  mode: number;
  accessed: Timestamp;
  changed: Timestamp;

  /**
   * @param arena keeps the text
   * @param name the file's name, bytes as characters
   * @param ino the inode number
   * @param mode the permission bits; other bits are ignored
   * @param uid the user that makes the event: its source for ever, and its owner until chown(2)
   * @param recorder records the event for a later daemon; null if there will be none
   */
  constructor(
    private readonly arena: Arena,
    name: string,
    ino: number,
    mode: number,
    public uid: number,
    public gid: number,
    private readonly recorder: Recorder | null = null,
  ) {
    super(name, ino, NOT_LOGGED, NO_TEXT, 0, 0, now());
    this.mode = FileType.regular | (mode & PERMISSION_BITS);
    this.accessed = this.time;
    this.changed = this.time;
    this.sourceId = uid;
    this.#recordChange();
  }

  #recordChange(): void {
    this.recorder?.changed(this);
  }

  /** Writes the records of the event: its attributes, and its text if that has changed. */
  record(journal: Journal): void {
    if (this.#hasNewText) this.recordText(journal);
    journal.put('written', writtenFields(this));
  }

  /**
   * Restores the times that the event had in an earlier daemon.
   * @param keeper the account that is charged while only open files hold it; null for none
   */
  restore(
    accessed: Timestamp,
    modified: Timestamp,
    changed: Timestamp,
    keeper: EventQuota | null,
  ): void {
    this.accessed = accessed;
    this.time = modified;
    this.changed = changed;
    this.keeper = keeper;
    keeper?.forceCharge(1, this.length, this.heapBytes);
  }

  /** Writes the record of the text. */
  recordText(journal: Journal): void {
    this.#hasNewText = false;
    recordText(journal, this);
  }

  override get source(): string {
    return `file:${this.sourceId}`;
  }

  override get heapBytes(): number {
    return WRITTEN_EVENT_BYTES;
  }

  /**
   * Counts an open file that may write the event: from the first on, streams leave it in its
   * queues.
   */
  writerOpened(): void {
    if (this.#writers++ > 0) return;
    for (const [holder, links] of this.#holders) holder.incomplete += links;
  }

  /**
   * Counts off an open file that may write the event, at its close. After the last one the event is
   * complete, and the streams of each queue that holds it may take it.
   */
  writerClosed(): void {
    if (--this.#writers > 0) return;
    for (const [holder, links] of this.#holders) {
      holder.incomplete -= links;
      holder.becameComplete();
    }
  }

  override link(holder: Holder): void {
    super.link(holder);
    if (!this.complete) holder.incomplete++;
    this.#holders.set(holder, (this.#holders.get(holder) ?? 0) + 1);
    this.renamed();
    // The queue dropped the event to make room, and now links it again.
    this.keeper?.refund(1, this.length, this.heapBytes);
    this.keeper = null;
    this.#recordChange();
  }

  override unlink(holder: Holder): void {
    if (!this.complete) holder.incomplete--;
    const links = this.#holders.get(holder)! - 1;
    if (links > 0) this.#holders.set(holder, links);
    else this.#holders.delete(holder);
    if (this.links === 1 && this.opens > 0) {
      this.keeper = holder.quota;
      this.keeper?.forceCharge(1, this.length, this.heapBytes);
    }
    super.unlink(holder);
    this.renamed();
  }

  /** Sets ctime, and nothing else: a name of the event was added, changed or removed (inode(7)). */
  renamed(): void {
    this.changed = now();
    this.#recordChange();
  }

  /**
   * Removes the set-ID bits after an unprivileged user has changed the text: see `withoutSetIds`.
   */
  dropSetIds(): void {
    this.mode = withoutSetIds(this.mode);
    this.#recordChange();
  }

  override close(count = 1): void {
    const { length } = this;
    super.close(count);
    if (this.opens > 0 || this.keeper === null) return;
    this.keeper.refund(1, length, this.heapBytes);
    this.keeper = null;
  }

  override get complete(): boolean {
    return this.#writers === 0;
  }

  override get recordLength(): number {
    return (
      this.length +
      (this.length > 0 && this.bytes[this.start + this.length - 1] === LF ? 1 : TRAILER_BYTES)
    );
  }

  /**
   * write(2). Sets mtime and ctime.
   * @param from the memory that has the bytes
   * @param start where they begin in `from`
   * @param length the number of bytes
   * @param offset the place in the text, in bytes; a gap before it reads as zeros
   * @throws FsError EFBIG if the text would be larger than an event may be; EDQUOT or ENOSPC if a
   * queue or account that holds the event has no room
   */
  write(from: Uint8Array, start: number, length: number, offset: number): void {
    const end = offset + length;
    if (end > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    if (end > this.length) this.#resize(end);
    if (length > 0) this.bytes.set(from.subarray(start, start + length), this.start + offset);
    this.#touch();
  }

  /**
   * truncate(2). Sets mtime and ctime.
   * @param size the new length of the text, in bytes
   * @throws FsError as `write` does
   */
  truncate(size: number): void {
    if (size > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    this.#resize(size);
    this.#touch();
  }

  /**
   * chmod(2), chown(2), utimensat(2), truncate(2). Sets ctime.
   * @param changes the attributes to set; absent ones stay
   * @throws FsError as `truncate` does; then nothing has changed
   */
  change(changes: AttributeChanges): void {
    if (changes.size !== undefined) this.truncate(changes.size);
    if (changes.mode !== undefined) this.mode = FileType.regular | (changes.mode & PERMISSION_BITS);
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
    this.accessed = changes.atime ?? this.accessed;
    this.time = changes.mtime ?? this.time;
    this.changed = now();
    this.#recordChange();
  }

  #resize(size: number): void {
    const grown = size - this.length;
    if (grown > 0) this.#grow(grown);
    else {
      this.keeper?.refund(0, -grown, 0);
      this.#resizeInAll(grown);
    }
    if (size + TRAILER_BYTES > this.capacity || this.capacity > mostRoomFor(size)) {
      this.reserve(this.arena, roomFor(size), Math.min(size, this.length));
    }
    if (size > 0) {
      const { bytes, start } = this;
      // The bytes between the old end and the new one read as zeros (truncate(2)), and line ends
      // follow the new end.
      if (grown > 0) bytes.fill(0, start + this.length, start + size);
      bytes.fill(LF, start + size, start + size + TRAILER_BYTES);
    }
    this.length = size;
    this.dropCaches();
  }

  /**
   * Charges `bytes` more to each queue and account that holds the event, or throws with nothing
   * changed. Called before `length` changes: a queue that makes room may drop this very event, and
   * then it refunds the old length.
   */
  #grow(bytes: number): void {
    assertGrowthFits(this.#holders, this.keeper, bytes);
    for (const holder of [...this.#holders.keys()]) makeRoomIn(holder, this.#holders, bytes, this);
    this.#resizeInAll(bytes);
    this.keeper?.forceCharge(0, bytes, 0);
  }

  #resizeInAll(grown: number): void {
    for (const [holder, links] of this.#holders) {
      holder.bytes += grown * links;
      holder.quota?.refund(0, -grown * links, 0);
    }
  }

  #touch(): void {
    this.dropCaches();
    this.time = now();
    this.changed = this.time;
    this.#hasNewText = true;
    this.#recordChange();
  }
}
