/** An open file, with the daemon's knowledge of its reads by io_uring(7). */
import { URING_THREAD_BYTES } from '../../prices.js';
import { UringReads, type UringThread } from '../../uring-reads.js';
import { ChargedFile } from './charged-file.js';
import { Poll } from './poll.js';

/**
 * io_uring polls for a read with POLLIN and without POLLHUP. poll(2), select(2) and epoll(7) always
 * ask for POLLHUP too (fs/tree/uring-reads.ts).
 */
const URING_MASK = Poll.in | Poll.hangUp;

/** An open file whose reads by io_uring the daemon recognizes (fs/tree/uring-reads.ts). */
export abstract class UringFile extends ChargedFile {
  /** The threads that read the file by io_uring, or null before the first one does. */
  protected uring: UringReads | null = null;
  /**
   * The last short read of a thread that `uring` does not hold: the thread, the offset, and the
   * number of bytes that the read lacked. Without a poll before the read, the daemon can see that
   * io_uring reads only when a read gets too few bytes.
   */
  #shortTid = 0;
  #shortOffset = 0;
  #shortRest = 0;

  /** Whether the file is a stream: it has no position to seek, and its reads block. */
  abstract get isStream(): boolean;

  /**
   * poll(2).
   * @returns the ready events, bits of {@link Poll}
   */
  abstract poll(): number;

  /**
   * poll(2) by a thread.
   * @param tid the thread, or 0 if it is outside the daemon's PID namespace
   * @param events the events that the thread asks for, bits of {@link Poll}
   * @param isWatched whether the kernel wants to be told of a change
   * @returns the ready events. POLLIN and POLLRDNORM are among them too where they make io_uring
   * complete a READ that has got all that there is.
   */
  pollFor(tid: number, events: number, isWatched: boolean): number {
    const ready = this.poll();
    if ((events & URING_MASK) !== Poll.in) return ready;
    const thread = this.uringThread(tid) ?? this.#addUringThread(tid);
    const isReady = thread?.poll(events === Poll.in, isWatched, (ready & Poll.in) !== 0) === true;
    return isReady ? ready | Poll.in | Poll.readNormal : ready;
  }

  /**
   * Finds a thread that reads the file by io_uring.
   * @param tid as in `pollFor`
   * @returns undefined for any other thread
   */
  uringThread(tid: number): UringThread | undefined {
    if (this.uring === null) return undefined;
    const thread = this.uring.find(tid);
    if (thread !== undefined) this.uringChanged(this.uring);
    return thread;
  }

  /** Runs before the knowledge of the threads changes. */
  protected uringChanged(_uring: UringReads): void {}

  /** Runs when the memory that the file is charged for has changed. */
  protected heapChanged(): void {}

  /**
   * Restores the records of the last daemon about the threads. Their memory is charged already.
   * @param text the text that `UringReads` has recorded
   */
  restoreUring(text: string): void {
    this.uring = UringReads.from(text);
  }

  /**
   * Starts to record the reads of a thread.
   * @returns undefined if the opener may hold no more memory: then io_uring reads this file like
   * any other
   */
  #addUringThread(tid: number): UringThread | undefined {
    this.uring ??= new UringReads();
    if (!this.uring.isFull) {
      if (this.account?.tryChargeItem('memory', URING_THREAD_BYTES) !== true) return undefined;
      this.heap += URING_THREAD_BYTES;
      this.heapChanged();
    }
    const thread = this.uring.add(tid);
    this.uringChanged(this.uring);
    if (this.#shortTid === tid && this.#shortRest > 0)
      thread.gotShort(this.#shortOffset, this.#shortRest, false);
    return thread;
  }

  /**
   * Records a short read: it got at least one byte, but fewer than it asked for.
   * @param tid as in `pollFor`
   * @param offset where the read began; devfuse passes 0 for a stream
   * @param rest the number of bytes that the read lacked
   * @param isLong whether the read was as long as a request can be
   */
  gotShort(tid: number, offset: number, rest: number, isLong: boolean): void {
    const thread = this.uringThread(tid);
    if (thread !== undefined) return thread.gotShort(offset, rest, isLong);
    this.#shortTid = tid;
    this.#shortOffset = offset;
    this.#shortRest = rest;
  }

  /**
   * Recognises a repeated read of io_uring by its place and size alone, for a driver that knows
   * neither the caller nor its polls. Programs do not make such a read of a file, because their
   * position has moved on. They do make it of a stream, so no read of a stream is recognised.
   * @returns whether the read asks at the same offset for exactly the bytes that the last read
   * lacked; false for a stream
   */
  asksForRest(offset: number, size: number): boolean {
    const isRest = size === this.#shortRest && offset === this.#shortOffset && !this.isStream;
    this.#shortRest = 0;
    return isRest;
  }
}
