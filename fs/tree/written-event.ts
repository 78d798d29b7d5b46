/** An event that a user writes, as a file of a process directory: it can be changed, and it has an owner and a mode. */
import type { Arena } from '../bus/arena.js';
import type { EventQuota } from '../bus/quota.js';
import { Event, type Holder, NOT_LOGGED, NO_TEXT, type Timestamp, now } from '../bus/event.js';
import { MAX_EVENT_BYTES } from '../uevent/text.js';
import { Errno, FsError } from '../shared/errors.js';
import { type AttributeChanges, FileType } from './nodes/node.js';
import { WRITTEN_EVENT_BYTES } from './prices.js';
import { LF } from '../shared/ascii.js';

/** Why what is larger than an event may be is refused. */
export const TOO_LONG = `an event has at most ${MAX_EVENT_BYTES} bytes`;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;
/** Behind the text: the line end that it may lack, and the empty line that ends its record. */
const TRAILER_BYTES = 2;
/** The most bytes that are held beyond the text: an eighth of it, so that appending costs little, and these. */
const SPARE_BYTES = 64;

/**
 * In so many full queues an event that grows pushes others out. Each may lose 4,096 events then, and a user may have
 * 256 of them: one write(2) would take a third of a second.
 */
const MOST_FULL_QUEUES = 2;

/** How much room a text of `size` bytes gets when it must be moved. */
function roomFor(size: number): number {
  return size === 0 ? 0 : size + TRAILER_BYTES + (size >>> 4);
}

/** How much room it may have before it is moved to less. */
function mostRoomFor(size: number): number {
  return size === 0 ? 0 : size + (size >>> 3) + SPARE_BYTES;
}

export class WrittenEvent extends Event {
  /** How many open files may write it. While there is one, streams leave it in the queue. */
  #writers = 0;
  /** The queues that hold it, which charge its size, and how many links each has to it. */
  readonly #holders = new Map<Holder, number>();
  /** Where it is charged when only open files hold it. */
  keeper: EventQuota | null = null;
  mode: number;
  accessed: Timestamp;
  changed: Timestamp;

  constructor(
    private readonly arena: Arena,
    name: string,
    ino: number,
    mode: number,
    public uid: number,
    public gid: number,
  ) {
    super(name, ino, NOT_LOGGED, NO_TEXT, 0, 0, now());
    this.mode = FileType.regular | (mode & 0o7777);
    this.accessed = this.time;
    this.changed = this.time;
  }

  override get heapBytes(): number {
    return WRITTEN_EVENT_BYTES;
  }

  /** An open file may write it. */
  writerOpened(): void {
    if (this.#writers++ > 0) return;
    for (const [holder, links] of this.#holders) holder.incomplete += links;
  }

  /** That file is closed: after the last one each queue that holds the event may hand it over. */
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
    // Linked anew in the queue that has just dropped it to make room.
    this.keeper?.refund(1, this.length, this.heapBytes);
    this.keeper = null;
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

  /** One of its names is another now, or gone: that changes ctime only (inode(7)). */
  renamed(): void {
    this.changed = now();
  }

  /**
   * Somebody without rights has changed the text: it no longer runs as who made it (inode(7), set-user-ID). The kernel
   * leaves that to us where it writes directly (fs/fuse/file.c).
   */
  dropSetIds(): void {
    this.mode &= (this.mode & S_IXGRP) === 0 ? ~S_ISUID : ~(S_ISUID | S_ISGID);
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

  /** write(2) at `offset`. EFBIG when the text would be too large for an event, EDQUOT for one that holds it. */
  write(from: Uint8Array, start: number, length: number, offset: number): void {
    const end = offset + length;
    if (end > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    if (end > this.length) this.#resize(end);
    if (length > 0) this.bytes.set(from.subarray(start, start + length), this.start + offset);
    this.#touch();
  }

  /** truncate(2). EFBIG and EDQUOT as with `write`. */
  truncate(size: number): void {
    if (size > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, TOO_LONG);
    this.#resize(size);
    this.#touch();
  }

  /** chmod(2), chown(2), utimensat(2), truncate(2). */
  change(changes: AttributeChanges): void {
    if (changes.size !== undefined) this.truncate(changes.size);
    if (changes.mode !== undefined) this.mode = FileType.regular | (changes.mode & 0o7777);
    this.uid = changes.uid ?? this.uid;
    this.gid = changes.gid ?? this.gid;
    this.accessed = changes.atime ?? this.accessed;
    this.time = changes.mtime ?? this.time;
    this.changed = now();
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
      // What was behind the old end must read as zeros (truncate(2)), and line ends must stand behind the new one.
      if (grown > 0) bytes.fill(0, start + this.length, start + size);
      bytes.fill(LF, start + size, start + size + TRAILER_BYTES);
    }
    this.length = size;
    this.dropCaches();
  }

  /** Before the size changes: a queue that must make room may drop this very event and refund what it was charged. */
  #grow(bytes: number): void {
    const holders = [...this.#holders];
    const charged: [EventQuota, number][] = [];
    const undo = (): void => {
      // What did not fit says why; what fitted shows only that it did.
      for (const [quota, amount] of charged) quota.refund(0, amount, 0);
    };
    let full = 0;
    for (const [holder, links] of holders) {
      if (holder.refuses(0, bytes * links))
        throw new FsError(Errno.EDQUOT, 'a queue that holds it is full');
      if (holder.overflows(0, bytes * links) && ++full > MOST_FULL_QUEUES) {
        throw new FsError(
          Errno.EDQUOT,
          `more than ${MOST_FULL_QUEUES} queues that hold it are full`,
        );
      }
    }
    const owed: [EventQuota | null, number][] = [
      ...holders.map(([holder, links]): [EventQuota | null, number] => [
        holder.quota,
        bytes * links,
      ]),
      [this.keeper, bytes],
    ];
    for (const [quota, amount] of owed) {
      if (quota === null) continue;
      if (quota.tryCharge(0, amount, 0)) {
        charged.push([quota, amount]);
        continue;
      }
      undo();
      quota.assertFits(0, amount, 0);
      throw new FsError(Errno.EDQUOT, 'it is held more than once, and that is too much');
    }
    undo();
    for (const [holder] of holders) this.#makeRoomIn(holder, bytes);
    this.#resizeInAll(bytes);
    this.keeper?.forceCharge(0, bytes, 0);
  }

  /** Each link that the queue drops on the way makes what the others need smaller. */
  #makeRoomIn(holder: Holder, bytes: number): void {
    for (let before = 0, links = this.#holders.get(holder) ?? 0; links > 0 && links !== before;) {
      holder.makeRoom(0, bytes * links, this);
      before = links;
      links = this.#holders.get(holder) ?? 0;
    }
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
  }
}
