/**
 * Recognizes reads that io_uring(7) repeats, so that the daemon can answer them with the end of the
 * file.
 *
 * If a READ of a regular file gets fewer bytes than it asked for, io_uring asks for the rest by
 * itself (io_uring/rw.c, __io_read(): need_complete_io()): it polls the file, and if the file is
 * ready, it reads again, up to 128 times. It reads at the same offset, because fuse_direct_IO()
 * does not move the position (fs/fuse/file.c). So the daemon would repeat an event, and a stream's
 * reader would get no event before its buffer is full. Therefore the daemon answers a read of the
 * rest with the end of the file, and io_uring completes the READ with the bytes that it has.
 *
 * The daemon recognizes such a read by the polls of the same thread before it. poll(2), select(2)
 * and epoll(7) always ask for POLLHUP too (linux/fs/select.c, do_pollfd()); io_uring does not ask
 * for it when it reads. A READ of 4,096 bytes that gets 24 causes these requests:
 *
 *   POLL  POLLIN                               may a read be tried?
 *   READ  offset 0, size 4096                  24 bytes
 *   POLL  POLLIN|POLLPRI|POLLERR|POLLRDNORM    is there more? The daemon answers yes: after a no,
 *                                              io_uring would wait until there is more
 *   POLL  POLLIN
 *   READ  offset 0, size 4072                  0 bytes
 *
 * The kernel does not poll before a read if the file was opened with O_NONBLOCK, nor in any version
 * before Linux 6.6.
 *
 * The daemon identifies a thread by its id in the daemon's PID namespace. All threads outside that
 * namespace have id 0, and the daemon takes them for one thread. It can take one thread's read for
 * another's only if both read the same open file with the same sizes.
 */

import type { Journal } from '../state/journal.js';
import type { Recorded } from '../state/recorder.js';
import { Kind } from '../state/schema.js';

/** The most threads of an open file whose reads the daemon tracks at a time. */
const MOST_THREADS = 16;
/** The most rests of different sizes or offsets that the daemon tracks for a thread. */
const MOST_RESTS = 8;

/** A read of a rest, which the daemon expects from io_uring. */
interface Rest {
  readonly offset: number;
  readonly size: number;
  /**
   * Whether the read may ask for more than `size`: the read before it may have had the maximum size
   * of a request (LONG_READ_BYTES).
   */
  readonly isLeast: boolean;
  /** The number of equal reads that the daemon expects. */
  count: number;
}

/** A thread's id, its four flags, the rest that its last read left, and the expected rests. */
type ThreadRecord = [number, boolean[], Rest | null, readonly Rest[]];

/** A thread that reads an open file with io_uring. */
export class UringThread {
  /**
   * Whether the read that the daemon now serves may wait. A read that io_uring only tries must not
   * wait: the thread has other work.
   */
  mayWait = true;
  /**
   * Whether the thread's last request was a poll from io_uring that the daemon answered with ready.
   */
  #isReading = false;
  /**
   * Whether the last poll from io_uring shows that the next read is only tried: it must not wait.
   */
  #isTrying = false;
  /**
   * Whether the kernel polls before the thread's io_uring reads. Then a read without such a poll is
   * not from io_uring.
   */
  #triesFirst = false;
  /**
   * Whether io_uring has polled after a read of the thread. A poll before a read can also be an
   * IORING_OP_POLL_ADD, which looks the same.
   */
  #hasWaited = false;
  /** The rest that the last request left, if that was a read that got too few bytes; else null. */
  #short: Rest | null = null;
  /** The reads of a rest that the daemon expects. */
  readonly #rests: Rest[] = [];

  /** @param tid the thread's id in the daemon's PID namespace; 0 for a thread outside it */
  constructor(readonly tid: number) {}

  /** All that the daemon knows of the thread, as JSON can carry it. */
  get known(): ThreadRecord {
    const flags = [this.#isReading, this.#isTrying, this.#triesFirst, this.#hasWaited];
    return [this.tid, flags, this.#short, this.#rests];
  }

  /** Makes a thread of what the last daemon knew of it. */
  static from([tid, flags, short, rests]: ThreadRecord): UringThread {
    const thread = new UringThread(tid);
    [thread.#isReading, thread.#isTrying, thread.#triesFirst, thread.#hasWaited] = flags;
    thread.#short = short;
    thread.#rests.push(...rests);
    return thread;
  }

  /** Whether the daemon expects a read of a rest. */
  get hasRest(): boolean {
    return this.#rests.length > 0;
  }

  /**
   * Notes that io_uring polls the file for this thread.
   * @param tries true for a poll before a read, false for a poll after one
   * @param isWatched whether the kernel asks for a wake-up when the file becomes ready; in a poll
   * before a read it does so only if another poll waits
   * @param isReady whether the file has bytes to read
   * @returns whether the daemon answers the poll with ready
   */
  poll(tries: boolean, isWatched: boolean, isReady: boolean): boolean {
    const short = this.#short;
    this.#short = null;
    if (tries) this.#triesFirst = true;
    else this.#hasWaited = true;
    const isPromised = tries ? this.hasRest : short !== null;
    if (!tries && short !== null) this.#expect(short);
    this.#isReading = isReady || isPromised;
    this.#isTrying = tries && (!isWatched || this.#hasWaited);
    return this.#isReading;
  }

  /**
   * Notes that the thread reads, and sets `mayWait` for this read.
   * @param offset in bytes; 0 for a stream
   * @param size in bytes
   * @returns whether it is the read of a rest, which the daemon answers with no bytes
   */
  read(offset: number, size: number): boolean {
    const isRest = (this.#isReading || !this.#triesFirst) && this.#takeRest(offset, size);
    this.mayWait = !this.#isReading || !this.#isTrying;
    this.#isReading = false;
    this.#short = null;
    return isRest;
  }

  /**
   * Notes that the thread's read got fewer bytes than it asked for, but some.
   * @param offset the read's offset, in bytes
   * @param rest the bytes that it did not get
   * @param isLong whether the read may have had the maximum size of a request (LONG_READ_BYTES)
   */
  gotShort(offset: number, rest: number, isLong: boolean): void {
    this.#short = { offset, size: rest, isLeast: isLong, count: 1 };
  }

  #expect(short: Rest): void {
    const { offset, size, isLeast } = short;
    const same = this.#rests.find(
      (rest) => rest.offset === offset && rest.size === size && rest.isLeast === isLeast,
    );
    if (same !== undefined) {
      same.count++;
      return;
    }
    // The oldest was cancelled, or the kernel will repeat it as it would without this class.
    if (this.#rests.length === MOST_RESTS) this.#rests.shift();
    this.#rests.push(short);
  }

  #takeRest(offset: number, size: number): boolean {
    const index = this.#rests.findIndex(
      (rest) => rest.offset === offset && (rest.isLeast ? size >= rest.size : size === rest.size),
    );
    if (index < 0) return false;
    if (--this.#rests[index].count === 0) this.#rests.splice(index, 1);
    return true;
  }
}

/** The threads that read one open file with io_uring. */
export class UringReads implements Recorded {
  readonly #threads: UringThread[] = [];
  /** Whether the next commit records the threads. */
  isMarked = false;
  /** The number of the open file; -1 while it is not recorded. */
  fh = -1;

  /** Makes the threads of what the last daemon has recorded. */
  static from(text: string): UringReads {
    const reads = new UringReads();
    for (const known of JSON.parse(text) as ThreadRecord[])
      reads.#threads.push(UringThread.from(known));
    return reads;
  }

  /** Writes all that is known of the threads. */
  record(journal: Journal): void {
    if (this.fh < 0) return;
    const text = JSON.stringify(this.#threads.map(({ known }) => known));
    journal.begin(Kind.uring).number(this.fh).text(text).end();
  }

  /** Whether the next thread takes the place of another one. */
  get isFull(): boolean {
    return this.#threads.length === MOST_THREADS;
  }

  /**
   * Finds a thread.
   * @param tid the thread's id in the daemon's PID namespace
   */
  find(tid: number): UringThread | undefined {
    return this.#threads.find((thread) => thread.tid === tid);
  }

  /**
   * Adds a thread. If there are MOST_THREADS already, it replaces the oldest thread of which no
   * read of a rest is expected, or the oldest thread if there is none.
   * @param tid the thread's id in the daemon's PID namespace
   * @returns the new thread
   */
  add(tid: number): UringThread {
    if (this.isFull)
      this.#threads.splice(
        Math.max(
          0,
          this.#threads.findIndex(({ hasRest }) => !hasRest),
        ),
        1,
      );
    const thread = new UringThread(tid);
    this.#threads.push(thread);
    return thread;
  }
}
