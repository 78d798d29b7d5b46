/**
 * The blocked reads of libfuse's threads: it parks them, and answers them for the tree. Each answer
 * releases the thread that waits for it.
 */
import { addressOf } from '#native';
import type { Sink } from '../../bus/sink.js';
import { longReadBytes, streamReadBytes } from '../../fuse/sizes.js';
import { Errno, FsError } from '../../shared/errors.js';
import { FOREVER, type Handle, ParkedRead } from '../../tree/nodes/node.js';
import { type ReplyPort, interruptRead } from '../../tree/ports.js';
import { BufferSink } from './buffer-sink.js';
import type { QuotaLedger } from '../../tree/quota/ledger.js';

/**
 * How many reads may be parked at once. Further reads get EAGAIN. libfuse ends a thread if more
 * than ten are idle, and fuse-native never frees the memory that it keeps for a thread. So fewer
 * reads than that may wake together.
 */
export const MOST_PARKED = 8;
/** The most bytes that one READ of the kernel asks for: libfuse 2 negotiates no more. */
const MOST_DATA = 128 * 1024;
/** A READ of at least this many bytes may be one of several (streamReadBytes). */
export const LONG_READ_BYTES = longReadBytes(MOST_DATA);

/** A read(2) that the driver may park. */
export interface AskedRead {
  readonly fh: number;
  readonly offset: number;
  /** The reader's buffer. The driver must not touch it after the answer. */
  readonly bytes: Uint8Array;
  /** The memory of the libfuse thread that waits. It contains the thread's semaphore. */
  readonly thread: Uint8Array;
  /** Answers the read with the number of bytes, or with a negative errno. */
  readonly done: (result: number) => void;
}

/** A parked read, and the call that it answers. */
class Parked extends ParkedRead {
  constructor(
    slot: number,
    handle: Handle,
    readonly asked: AskedRead,
    /** Ends the read before the kernel's limit. */
    readonly timer: NodeJS.Timeout | null,
  ) {
    super(slot, handle, asked.bytes.length);
  }
}

/** Parks reads and answers them. */
export class BlockedReads implements ReplyPort {
  /** The bytes of one answer to several parked reads. */
  readonly #answer = new BufferSink();
  readonly #answerBytes = new Uint8Array(MOST_DATA);
  /** The parked reads, by slot. */
  readonly #parked = new Map<number, Parked>();
  #nextSlot = 0;
  /** How long a read may be parked; 0 for any time. */
  #lifeMs = 0;
  /** How many reads were ended because they had blocked for too long. */
  expired = 0;

  constructor(private readonly ledger: QuotaLedger) {}

  /** Ends each read that has blocked for `ms` milliseconds; 0 sets no limit. */
  limitLife(ms: number): void {
    this.#lifeMs = ms;
  }

  /** How many reads are parked. */
  get size(): number {
    return this.#parked.size;
  }

  /**
   * Parks a read.
   * @throws FsError EAGAIN if too many reads are parked, in all or of the directory's user
   */
  park(handle: Handle, asked: AskedRead): void {
    // fuse-native does not pass the reader on, so the read is charged to the open file's account.
    const { account } = handle;
    if (
      this.#parked.size >= MOST_PARKED ||
      (account !== null && !account.tryChargeItem('reads', 1))
    ) {
      this.ledger.countRefusal('reads');
      throw new FsError(
        Errno.EAGAIN,
        `${MOST_PARKED} reads block already, or too many of this user`,
      );
    }
    const slot = this.#nextSlot++;
    const timer = this.#lifeMs === 0 ? null : setTimeout(() => this.#expire(slot), this.#lifeMs);
    const read = new Parked(slot, handle, asked, timer);
    handle.park(read);
    this.#parked.set(slot, read);
  }

  // ---- ReplyPort

  /**
   * Begins an answer to parked reads.
   * @param size the most bytes that each of them takes
   */
  begin(size: number): Sink {
    return this.#answer.begin(
      this.#answerBytes,
      streamReadBytes(Math.min(size, MOST_DATA), LONG_READ_BYTES),
    );
  }

  /** Answers each of `reads` with a copy of the bytes in the sink. */
  answer(reads: readonly ParkedRead[]): void {
    const { length } = this.#answer;
    const bytes = this.#answerBytes.subarray(0, length);
    for (const { slot } of reads) {
      const { asked } = this.#free(slot);
      asked.bytes.set(bytes);
      asked.done(length);
    }
  }

  /** Does nothing: each answer goes at once. */
  cork(): void {}
  /** Does nothing: each answer has gone already. */
  uncork(): void {}

  /**
   * Ends a parked read with an error.
   * @param errno positive, as in errno(3)
   */
  fail({ slot }: ParkedRead, errno: number): void {
    this.#free(slot).asked.done(-errno);
  }

  /** Takes a read out of the table, and refunds its charge. */
  #free(slot: number): Parked {
    const read = this.#parked.get(slot)!;
    this.#parked.delete(slot);
    if (read.timer !== null) clearTimeout(read.timer);
    read.handle.account?.refundItem('reads');
    return read;
  }

  #expire(slot: number): void {
    this.expired++;
    interruptRead(this, this.#parked.get(slot)!);
  }

  /** Does nothing: fuse-native has no poll, though libfuse has. */
  wake(): void {}

  /**
   * Ends the read of an interrupted thread.
   * @param address an address in the memory of the thread; 0 if this machine can't tell, which ends
   *   all parked reads
   */
  interruptAt(address: number): void {
    for (const read of this.#parked.values()) {
      const { thread } = read.asked;
      const start = addressOf(thread);
      if (address === 0 || (address >= start && address < start + thread.length))
        interruptRead(this, read);
    }
  }

  /**
   * Ends parked reads with EINTR because they block another call: those in process directories,
   * which can be removed, and only if there are none, all others.
   */
  endBlocking(): void {
    const reads = [...this.#parked.values()];
    const mortal = reads.filter(({ handle }) => handle.node.lifetime !== FOREVER);
    for (const read of mortal.length > 0 ? mortal : reads) interruptRead(this, read);
  }
}
