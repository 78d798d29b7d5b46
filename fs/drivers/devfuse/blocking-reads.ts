/**
 * The reads of streams, which may block: it parks READs for the handlers, and answers them for the
 * tree.
 */
import { ControlWord, type FuseChannel, RequestOutcome, SettleState } from '#native';
import type { Sink } from '../../bus/sink.js';
import { REPLY_BYTES, streamReadBytes } from '../../fuse/sizes.js';
import { Errno, FsError } from '../../shared/errors.js';
import type { Handle, ParkedRead } from '../../tree/nodes/node.js';
import { type ReplyPort, interruptRead } from '../../tree/ports.js';
import type { Tree } from '../../tree/tree.js';
import type { Reads } from './handlers/reads.js';
import { MissedInterruptPoller } from './io-uring/missed-interrupt-poller.js';
import { ParkedReads } from './parked-reads.js';
import { PollWakes } from './poll-wakes.js';
import { ReadAges } from './hand-over/read-ages.js';
import type { Recovery } from './hand-over/recovery.js';
import { isStale } from './hand-over/stale-answers.js';
import { ReadExpiry } from './read-expiry.js';
import { ReplySink } from './reply-sink.js';
import { Transactions } from './transactions.js';

/** How many reads may be parked at once. Further reads get EAGAIN. */
const MOST_PARKED = 64 * 1024;
/** The most data of one reply, in bytes. */
const MOST_DATA = REPLY_BYTES - 4096;

/** Parks READs, and sends the replies to them through the channel. */
export class BlockingReads implements Reads, ReplyPort {
  /** Whether `end` was called. */
  ending = false;
  /** Records the replies; null without a guardian. */
  readonly transactions: Transactions | null;
  /** The reads that wait, by slot. */
  readonly parked: ParkedReads;
  readonly #sink: ReplySink;
  /** The words of the request that is being served. */
  readonly #requestWords: Uint32Array;
  readonly #slots = new Uint32Array(MOST_PARKED);
  #channel: FuseChannel | null = null;
  #isRing = false;
  /** Whether answers may wait for `uncork`. */
  #isCorked = false;
  /** Finds the interrupts that the kernel does not report with io_uring. */
  readonly #missedInterrupts: MissedInterruptPoller;
  readonly #pollWakes: PollWakes;
  /** Ends reads before the kernel's limit; null without a limit. */
  #expiry: ReadExpiry | null = null;

  /**
   * @param request the memory of the request that is being served
   * @param reply the memory of replies
   * @param control memory that the channel shares: see FuseChannelOptions.control
   * @param recovery the time in which the kernel sends requests again
   * @param notifyPoll sends FUSE_NOTIFY_POLL for an open file, and returns when the kernel has
   *   woken its pollers
   */
  constructor(
    private readonly tree: Tree,
    request: Uint8Array,
    reply: Uint8Array,
    private readonly control: Uint32Array,
    private readonly recovery: Recovery,
    notifyPoll: (handle: Handle) => void,
  ) {
    const { recorder } = tree;
    this.transactions =
      recorder &&
      new Transactions(recorder, request, reply, control, recovery, (words) =>
        isStale(tree, words),
      );
    if (!recovery.isOver) recovery.whenOver(() => this.#recovered());
    this.parked = new ParkedReads(MOST_PARKED, tree.ledger);
    this.#sink = new ReplySink(reply, tree.bus.log.memory, control);
    this.#requestWords = new Uint32Array(request.buffer);
    this.#missedInterrupts = new MissedInterruptPoller(this.parked, (read) =>
      interruptRead(tree.port, read),
    );
    this.#pollWakes = new PollWakes(notifyPoll);
  }

  /** Sends replies through `channel` from now on. */
  open(channel: FuseChannel): void {
    this.#channel = channel;
  }

  /**
   * Notes that requests come through io_uring. The daemon then does for blocked readers what the
   * kernel does not do there.
   */
  useRing(): void {
    this.#isRing = true;
  }

  /** Ends each read that has blocked for `ms` milliseconds; 0 sets no limit. */
  limitLife(ms: number): void {
    if (ms === 0) return;
    const pairs = this.tree.recorder?.journal.layout.readAges;
    this.#expiry = new ReadExpiry(
      this.parked,
      MOST_PARKED,
      ms,
      (read) =>
        interruptRead(this.tree.port, read, 'the kernel would end the mount for an older request'),
      pairs && new ReadAges(pairs, ms),
    );
  }

  /** Forgets all requests that have no reply: the kernel sends them again, with other numbers. */
  forgetUnanswered(): void {
    const { parked, recovery } = this;
    this.#channel?.dropAhead();
    for (let slot = 0; slot < parked.slots; slot++) {
      const read = parked.at(slot);
      if (read === undefined) continue;
      read.handle.unpark(read);
      parked.free(read);
    }
    recovery.again();
    recovery.whenOver(() => this.#recovered());
  }

  /** How many reads were ended because they had blocked for too long. */
  get expired(): number {
    return this.#expiry?.ended ?? 0;
  }

  /** Ends the mount: no read blocks any more, and a read of a stream returns end of file. */
  end(): void {
    this.ending = true;
  }

  /** Stops the timers, after the channel is closed. */
  close(): void {
    this.#channel = null;
    this.#pollWakes.stop();
    this.#missedInterrupts.stop();
    this.#expiry?.stop();
  }

  // ---- Reads

  /** Begins a reply with at most `size` bytes of data. */
  sink(size: number): ReplySink {
    return this.#sink.begin(Math.min(size, MOST_DATA));
  }

  /** Whether events have come that parked reads don't have yet. */
  get holds(): boolean {
    return this.control[ControlWord.settle] !== SettleState.settled;
  }

  /**
   * Called once all requests are here that the last daemon had not answered. Readers wait in their
   * old order, and get the events that have come since; pollers look again.
   */
  #recovered(): void {
    this.parked.sort();
    this.#expiry?.restored();
    this.tree.streams.unsettle();
    this.control[ControlWord.settle] = SettleState.pending;
    for (const handle of this.tree.handles) if (handle.hasPollKey) this.wake(handle);
  }

  /** Whether older reads than the present one may still come. */
  get parksAll(): boolean {
    return !this.recovery.isOver;
  }

  /**
   * Parks the READ that is being served.
   * @param size the most bytes that it takes
   * @throws FsError EAGAIN if too many reads are parked, in all or of this user
   */
  park(handle: Handle, size: number): ParkedRead {
    const read = this.parked.park(this.#requestWords, handle, size, this.parksAll);
    if (read === undefined) {
      this.tree.ledger.countRefusal('reads');
      throw new FsError(Errno.EAGAIN, 'too many reads block already, in all or of this user');
    }
    this.control[ControlWord.outcome] = RequestOutcome.parked;
    if (this.#isRing) this.#missedInterrupts.watch();
    this.#expiry?.note(read.slot, this.parksAll);
    return read;
  }

  /** Ends the parked read with this `unique` with EINTR. */
  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const read = this.parked.find(uniqueLow, uniqueHigh);
    // A read that is answered is not parked any more: the signal has come too late for it.
    if (read !== undefined) interruptRead(this.tree.port, read);
  }

  /** Provides room in io_uring for the reads of all open streams. */
  streamOpened(): void {
    if (this.#isRing) this.#channel?.expectBlocked(this.tree.ledger.mount.streams);
  }

  // ---- ReplyPort

  /**
   * Begins an answer to parked reads.
   * @param size the most bytes that each of them takes
   */
  begin(size: number): Sink {
    return this.sink(streamReadBytes(size));
  }

  /** Answers `reads` with the bytes in the sink, and frees their slots. */
  answer(reads: readonly ParkedRead[]): void {
    const slots = this.#slots;
    for (let i = 0; i < reads.length; i++) slots[i] = reads[i].slot;
    this.#sink.end();
    this.parked.freeAnswered(reads, this.#sink.length);
    this.transactions?.answers(reads, this.parked.words, this.#sink.copied);
    this.#channel?.answer(slots, reads.length, this.#sink.copied, this.#isCorked);
  }

  /** Lets the channel hold answers back until `uncork`. */
  cork(): void {
    this.#isCorked = true;
  }

  /** Sends the answers that wait. */
  uncork(): void {
    this.#isCorked = false;
    this.#channel?.uncork();
    this.transactions?.sent();
  }

  /**
   * Ends a parked read with an error, and frees its slot.
   * @param errno positive, as in errno(3)
   */
  fail(read: ParkedRead, errno: number): void {
    const { transactions } = this;
    if (transactions === null || !transactions.fails(read, this.parked.words, errno))
      this.failNow(read, errno);
  }

  /**
   * Sends the error of a parked read, and frees its slot.
   * @param errno positive, as in errno(3)
   */
  failNow(read: ParkedRead, errno: number): void {
    this.#channel?.fail(read.slot, errno);
    this.parked.free(read);
  }

  /** Wakes the pollers of an open file: at once, or later if the last wake-up was slow. */
  wake(handle: Handle): void {
    this.#pollWakes.wake(handle);
  }
}
