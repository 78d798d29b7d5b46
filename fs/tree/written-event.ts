/** An event that a user writes, as a file of a process directory: it can be changed, and it has an owner and a mode. */
import type { Books } from '../events/books.js';
import { Event, type Holder, type Timestamp, now } from '../events/event.js';
import { MAX_EVENT_BYTES } from '../events/uevent.js';
import { Errno, FsError } from '../errno.js';
import { type AttributeChanges, FileType } from './node.js';

const LF = 0x0a;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;
/** Behind the text: the line end that it may lack, and the empty line that ends its record. */
const TRAILER_BYTES = 2;

export class WrittenEvent extends Event {
  /** How many open files may write it. While there is one, streams leave it in the queue. */
  writers = 0;
  /** The queues that hold it, whose books follow its size. */
  readonly #holders: Holder[] = [];
  /** Where it is charged when only open files hold it. */
  keeper: Books | null = null;
  mode: number;
  accessed: Timestamp;
  changed: Timestamp;

  constructor(
    name: string,
    ino: number,
    mode: number,
    public uid: number,
    public gid: number,
  ) {
    super(name, ino, -1, new Uint8Array(TRAILER_BYTES).fill(LF), 0, 0, now());
    this.mode = FileType.regular | (mode & 0o7777);
    this.accessed = this.time;
    this.changed = this.time;
  }

  override link(holder: Holder): void {
    super.link(holder);
    this.#holders.push(holder);
    this.renamed();
    // Linked anew in the queue that has just dropped it to make room.
    this.keeper?.release(1, this.length);
    this.keeper = null;
  }

  override unlink(holder: Holder): void {
    this.#holders.splice(this.#holders.indexOf(holder), 1);
    if (this.#holders.length === 0 && this.opens > 0) {
      this.keeper = holder.books;
      this.keeper?.keep(1, this.length);
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

  override close(): void {
    const { length } = this;
    super.close();
    if (this.opens > 0 || this.keeper === null) return;
    this.keeper.release(1, length);
    this.keeper = null;
  }

  override get complete(): boolean {
    return this.writers === 0;
  }

  override get recordLength(): number {
    return this.length + (this.length > 0 && this.bytes[this.length - 1] === LF ? 1 : TRAILER_BYTES);
  }

  /** write(2) at `offset`. EFBIG when the text would be too large for an event, EDQUOT for one that holds it. */
  write(from: Uint8Array, start: number, length: number, offset: number): void {
    const end = offset + length;
    if (end > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, `an event has at most ${MAX_EVENT_BYTES} bytes`);
    if (end > this.length) this.#resize(end);
    this.bytes.set(from.subarray(start, start + length), offset);
    this.#touch();
  }

  /** truncate(2). EFBIG and EDQUOT as with `write`. */
  truncate(size: number): void {
    if (size > MAX_EVENT_BYTES) throw new FsError(Errno.EFBIG, `an event has at most ${MAX_EVENT_BYTES} bytes`);
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
      this.keeper?.refund(0, -grown);
      for (const holder of this.#holders) this.#resizeIn(holder, grown);
    }
    if (size + TRAILER_BYTES > this.bytes.length) {
      const larger = new Uint8Array(Math.max(size + TRAILER_BYTES, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    // What was behind the old end must read as zeros (truncate(2)), and line ends must stand behind the new one.
    if (grown > 0) this.bytes.fill(0, this.length, size);
    this.bytes.fill(LF, size, size + TRAILER_BYTES);
    this.length = size;
    this.settle();
  }

  /** Before the size changes: a queue that must make room may drop this very event and refund what it was charged. */
  #grow(bytes: number): void {
    const holders = [...this.#holders];
    const books = [...holders.map((holder) => holder.books), this.keeper].filter((each) => each !== null);
    if (holders.some((holder) => holder.refuses(0, bytes))) throw new FsError(Errno.EDQUOT, 'a queue that holds it is full');
    let charged = 0;
    while (charged < books.length && books[charged].charge(0, bytes)) charged++;
    // What did not fit says why; what fitted shows only that it did.
    for (const each of books.slice(0, charged)) each.refund(0, bytes);
    if (charged < books.length) {
      books[charged].demand(0, bytes);
      throw new FsError(Errno.EDQUOT, 'it is held more than once, and that is too much');
    }
    for (const holder of holders) holder.makeRoom(0, bytes, this);
    for (const holder of this.#holders) this.#resizeIn(holder, bytes);
    this.keeper?.keep(0, bytes);
  }

  #resizeIn(holder: Holder, grown: number): void {
    holder.bytes += grown;
    holder.books?.refund(0, -grown);
  }

  #touch(): void {
    this.settle();
    this.time = now();
    this.changed = this.time;
  }
}
