/**
 * Reads of io_uring(7) that the kernel makes again.
 *
 * Where a READ of a regular file got fewer bytes than it asked for, io_uring asks for the rest by
 * itself (io_uring/rw.c, __io_read(): need_complete_io()): it polls the file, and if that is ready
 * it reads again, up to 128 times. It reads at the same offset, because fuse_direct_IO() does not
 * move the position (fs/fuse/file.c). So an event would be repeated, and a stream's reader would
 * not get what has come before its buffer is full. The daemon therefore answers a read of the rest
 * with the end of the file, and io_uring completes the READ with what it has.
 *
 * Such a read is told by the polls of the same thread before it. poll(2), select(2) and epoll(7)
 * always ask for POLLHUP too (linux/fs/select.c, do_pollfd()); io_uring does not ask for it when it
 * reads. A READ of 4,096 bytes that gets 24 looks like this:
 *
 *   POLL  POLLIN                               may a read be tried?
 *   READ  offset 0, size 4096                  24 bytes
 *   POLL  POLLIN|POLLPRI|POLLERR|POLLRDNORM    is there more? Yes: else io_uring would wait until there is
 *   POLL  POLLIN
 *   READ  offset 0, size 4072                  0 bytes
 *
 * The kernel does not poll before a read where the file was opened with O_NONBLOCK, nor before
 * Linux 6.6.
 *
 * A thread is known by the number that the kernel gives it in the daemon's PID namespace. All
 * threads outside of it have number 0 and are taken for one: they can mistake each other's reads
 * only where they read the same open file with the same sizes.
 */

/** Of so many threads of an open file the daemon knows the reads: of those that have read last. */
const MOST_THREADS = 16;
/** Of each thread so many reads of different sizes can be under way. */
const MOST_RESTS = 8;

/** A read of the rest that the kernel will make. */
interface Rest {
  readonly offset: number;
  readonly size: number;
  /** Whether it may ask for more: the read before it was as long as a request can be. */
  readonly isLeast: boolean;
  /** How many of them. */
  count: number;
}

/** A thread that reads an open file by io_uring. */
export class UringThread {
  /**
   * Whether its read that is being served may wait. One that io_uring only tries must not: the
   * thread has other work.
   */
  mayWait = true;
  /** Whether its last request was a poll of io_uring's that was told to read. */
  #isReading = false;
  #isTrying = false;
  /**
   * Whether the kernel polls before the thread's reads: then no other read of the thread's is
   * io_uring's.
   */
  #triesFirst = false;
  /** Whether it has polled after a read: before one, IORING_OP_POLL_ADD can look the same. */
  #hasWaited = false;
  /** Its last request was a read that got fewer bytes than it asked for. */
  #short: Rest | null = null;
  readonly #rests: Rest[] = [];

  constructor(readonly tid: number) {}

  /** Whether the kernel will read the rest of something. */
  get hasRest(): boolean {
    return this.#rests.length > 0;
  }

  /**
   * io_uring polls the file for this thread.
   * @param tries whether it asks before a read, rather than after one
   * @param isWatched whether the kernel wants to be told of a change: before a read only where
   * another poll waits
   * @param isReady whether the file can be read
   * @returns what to say of that
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
   * The thread reads.
   * @returns whether it is the read of a rest, which gets no bytes
   */
  read(offset: number, size: number): boolean {
    const isRest = (this.#isReading || !this.#triesFirst) && this.#takeRest(offset, size);
    this.mayWait = !this.#isReading || !this.#isTrying;
    this.#isReading = false;
    this.#short = null;
    return isRest;
  }

  /** Its read at `offset` got fewer bytes than it asked for: `rest` more. */
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
    if (this.#rests.length === MOST_RESTS) this.#rests.shift(); // it was cancelled, or the kernel reads it as it would without us
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

/** The threads that read an open file by io_uring. */
export class UringReads {
  readonly #threads: UringThread[] = [];

  get isFull(): boolean {
    return this.#threads.length === MOST_THREADS;
  }

  find(tid: number): UringThread | undefined {
    return this.#threads.find((thread) => thread.tid === tid);
  }

  /**
   * A thread more. Where there are as many as can be it takes the place of one, rather one that has
   * nothing under way.
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
