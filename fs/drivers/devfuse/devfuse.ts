/**
 * The default driver: it serves the tree on /dev/fuse itself, without libfuse.
 *
 * A request, by read(2) and write(2) or by io_uring:
 *
 *   kernel --> request --drain the deaths--> session --> handlers --> tree --> reply --> kernel
 *
 * An event, with one answer for all parked reads at the same place of the log:
 *
 *   bus --take, settle--> tree --ReplyPort--> answer --> kernel
 */
import { ControlWord, FuseChannel, RequestOutcome, SettleState } from '#native';
import { Errno, FsError, UserError, errnoName } from '../../shared/errors.js';
import { type Connection, NO_CONNECTION, connectionAt } from '../../shared/kernel/connection.js';
import { DEFAULT_MOUNT_SOURCE } from '../../shared/kernel/mountinfo.js';
import { PAYLOAD_BYTES, REPLY_BYTES, REQUEST_BYTES, Session } from '../../fuse/session.js';
import { RequestTracer } from '../../fuse/request-tracer.js';
import type { Logger } from '../../shared/logger.js';
import type { Trace, TraceLine } from '../../shared/trace.js';
import type { Sink } from '../../bus/sink.js';
import { type ReplyPort, interruptRead } from '../../tree/ports.js';
import type { Handle, NodeId, ParkedRead } from '../../tree/nodes/node.js';
import type { Tree } from '../../tree/tree.js';
import type { DevFuseOptions, Driver } from '../driver.js';
import { treeHandlers } from './handlers/handlers.js';
import { InotifyHelperHandlers } from './handlers/inotify-helper.js';
import type { Reads } from './handlers/reads.js';
import { MissedInterruptPoller } from './io-uring/missed-interrupt-poller.js';
import { clearMountPoint, detachOrTell, mountFuse } from '../common/mount-point.js';
import { Notifier } from './notifier.js';
import { ParkedReads } from './parked-reads.js';
import { PollWakes } from './poll-wakes.js';
import { ReplySink } from './reply-sink.js';
import { TracedPort } from './traced-port.js';
import { RingStallRescuer } from './io-uring/ring-stall-rescuer.js';
import { possibleCpus, wantsRing } from './io-uring/transport.js';
import { RING_PARAMETER } from '../../shared/kernel/ring-parameter.js';

/** How many reads may be parked at once. Further reads get EAGAIN. */
const MOST_PARKED = 64 * 1024;
/** The most data of one reply, in bytes. */
const MOST_DATA = REPLY_BYTES - 4096;

/** How long the kernel may take to send INIT, in milliseconds. It sends it at once. */
const INIT_TIMEOUT_MS = 5000;

/** The driver `devfuse`. */
export class DevFuse implements Driver, ReplyPort, Reads {
  /** Set once the daemon is ending: then a read of a stream returns end of file. */
  ending = false;
  readonly #session: Session;
  readonly #parked: ParkedReads;
  readonly #sink: ReplySink;
  /** Memory that the channel shares: see FuseChannelOptions.control. */
  readonly #control = new Uint32Array(ControlWord.count);
  readonly #slots = new Uint32Array(MOST_PARKED);
  readonly #requestWords: Uint32Array;
  #channel: FuseChannel | null = null;
  /** Whether answers may wait for `uncork`. */
  #isCorked = false;
  /**
   * Whether requests come through io_uring. Then `#stallRescuer` and `#missedInterrupts` do what
   * the kernel does not do there.
   */
  #isRing = false;
  #stallRescuer: RingStallRescuer | null = null;
  readonly #missedInterrupts: MissedInterruptPoller;
  readonly #pollWakes = new PollWakes((handle) => this.#notifyPoll(handle));
  /** Raises inotify events while the tree is mounted. */
  #notifier: Notifier | null = null;
  /** The minor number of the mount's device, which finds the mount even after it was moved. */
  #connection: Connection = NO_CONNECTION;

  /** @param noteRequest called for each request before the driver serves it */
  constructor(
    private readonly tree: Tree,
    private readonly logger: Logger,
    private readonly trace: Trace,
    private readonly options: DevFuseOptions,
    private readonly noteRequest: () => void,
  ) {
    this.#parked = new ParkedReads(MOST_PARKED, tree.ledger);
    this.#missedInterrupts = new MissedInterruptPoller(this.#parked, (read) =>
      interruptRead(tree.port, read),
    );
    const request = new Uint8Array(REQUEST_BYTES);
    this.#requestWords = new Uint32Array(request.buffer);
    const reply = new Uint8Array(REPLY_BYTES);
    this.#sink = new ReplySink(reply, tree.bus.log.memory, this.#control);
    const handlers = treeHandlers(tree, this);
    this.#session = new Session(
      request,
      reply,
      handlers,
      logger,
      new InotifyHelperHandlers(tree, handlers),
    );
    trace.watch(() => this.#traceTo(trace.requests));
    tree.report(() => [
      ['TRANSPORT', this.#channel?.usesRing() === true ? 'io-uring' : 'read'],
      ['PARKED', this.#parked.size],
      ['STARVED', this.#stallRescuer?.helped ?? 0],
    ]);
  }

  /**
   * Mounts the tree and serves requests in the event loop.
   * @param path the mount point, as /proc/self/mountinfo shows it
   * @param onEnd called if the connection ends without a call of `unmount`: another process has
   *   unmounted it
   * @returns a promise that resolves once INIT is negotiated
   * @throws UserError if the tree can't be mounted, if the kernel sends no INIT within 5 s, or if
   *   it ends the connection
   */
  async mount(path: string, onEnd: () => void): Promise<void> {
    await clearMountPoint(path, this.logger);
    const fd = mountFuse(path, this.options.fsname ?? DEFAULT_MOUNT_SOURCE);
    this.#connection = connectionAt(path);
    const session = this.#session;
    const negotiated = new Promise<void>((done, failed) => {
      const late = setTimeout(
        () => failed(new UserError(`${path}: the kernel did not begin to talk`)),
        INIT_TIMEOUT_MS,
      );
      session.attach({
        onNegotiated: () => {
          clearTimeout(late);
          done();
        },
        onRingOffered: () =>
          (this.#isRing =
            wantsRing(this.options.transport) &&
            this.#channel!.prepareRing(possibleCpus(), PAYLOAD_BYTES)),
      });
      this.#channel = new FuseChannel({
        fd,
        busyPollUs: this.options.busyPollUs,
        deaths: this.tree.owners.watch,
        request: session.request.bytes,
        reply: session.reply.bytes,
        log: this.tree.bus.log.memory,
        control: this.#control,
        parked: this.#parked.uniques,
        onRequest: (length) => this.#serve(length),
        onSettle: () => this.tree.bus.settleSome(),
        onRefused: (errno, isParked) => this.#warnRefused(errno, isParked),
        onStarved: () => this.#stallRescuer?.told(),
        onEnd: () => {
          this.#letGo();
          this.#detach(); // an aborted connection is still mounted
          this.#notifier?.stop();
          clearTimeout(late);
          failed(new UserError(`${path}: the kernel ended the connection at once`));
          onEnd();
        },
      });
    });
    const channel = this.#channel!;
    this.#stallRescuer = new RingStallRescuer(channel, path, this.#connection.minor);
    channel.start();
    await negotiated;
    if (!this.#isRing && this.options.transport === 'io-uring') this.#warnNoRing();
    if (this.#channel !== null)
      this.#notifier = new Notifier(
        this.tree.inotify,
        this.logger,
        this.trace,
        path,
        this.#connection.minor,
      );
  }

  #warnNoRing(): void {
    this.logger.warn(
      `io_uring is not available, and requests are read from /dev/fuse (try echo Y > ${RING_PARAMETER}, and mount again)`,
    );
  }

  /**
   * Logs that the kernel has rejected a reply.
   * @param isParked whether it was the reply to a parked READ
   */
  #warnRefused(errno: number, isParked: boolean): void {
    const operation = isParked ? 'FUSE_READ' : this.#session.current;
    this.logger.warn(`${operation}: the kernel refused the reply: ${errnoName(errno)}`);
  }

  /**
   * Ends every blocked read with end of file, serves all requests that wait, unmounts, and closes
   * the channel. Does nothing if the channel is closed already.
   */
  unmount(): void {
    const channel = this.#channel;
    if (channel === null) return;
    this.ending = true;
    this.tree.end();
    // The end of a mount waits for requests that are on their way to the daemon (fs/fuse/dev.c,
    // fuse_wait_aborted()). With io_uring they arrive only through this thread, so this thread must
    // not wait: it closes the ring first.
    if (!this.#isRing) this.#detach();
    channel.serve();
    channel.close();
    if (this.#isRing) this.#detach();
    this.#letGo();
    this.#notifier?.stop();
  }

  /** Stops the timers of a channel that is closed. */
  #letGo(): void {
    this.#channel = null;
    this.#stallRescuer?.stop();
    this.#pollWakes.stop();
    this.#missedInterrupts.stop();
  }

  #detach(): void {
    detachOrTell(this.#connection, this.logger);
  }

  /**
   * Switches the trace of requests and answers on or off. While it is off, the path of a request
   * has no branch for it.
   * @param line writes a line of the trace; null for no trace
   */
  #traceTo(line: TraceLine | null): void {
    const { tree } = this;
    const tracer =
      line === null
        ? null
        : new RequestTracer(line, (parent, name) => tree.whyNotFound(parent as NodeId, name));
    this.#session.traceTo(tracer);
    tree.attach(
      tracer === null ? this : new TracedPort(this, this.#parked.uniques, tracer),
      () => (this.#control[ControlWord.settle] = SettleState.pending),
    );
  }

  /**
   * Serves the request in memory, and sets its outcome for the channel.
   * @param length the request's length in bytes
   */
  #serve(length: number): void {
    this.noteRequest();
    const control = this.#control;
    control[ControlWord.outcome] = RequestOutcome.noReply; // `park` changes it
    const replyLength = this.#session.dispatch(length);
    if (replyLength === 0) return;
    control[ControlWord.replyLength] = replyLength;
    control[ControlWord.outcome] = RequestOutcome.replied;
  }

  // ---- Reads

  /** Begins a reply with at most `size` bytes of data. */
  sink(size: number): ReplySink {
    return this.#sink.begin(Math.min(size, MOST_DATA));
  }

  /** Whether events have come that parked reads don't have yet. */
  get holds(): boolean {
    return this.#control[ControlWord.settle] !== SettleState.settled;
  }

  /**
   * Parks the READ that is being served.
   * @param size the most bytes that it takes
   * @throws FsError EAGAIN if too many reads are parked, in all or of this user
   */
  park(handle: Handle, size: number): ParkedRead {
    const read = this.#parked.park(this.#requestWords, handle, size);
    if (read === undefined) {
      this.tree.ledger.countRefusal('reads');
      throw new FsError(Errno.EAGAIN, 'too many reads wait already, or too many of this user');
    }
    this.#control[ControlWord.outcome] = RequestOutcome.parked;
    if (this.#isRing) this.#missedInterrupts.watch();
    return read;
  }

  /** Ends the parked read with this `unique` with EINTR. */
  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const read = this.#parked.find(uniqueLow, uniqueHigh);
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
    return this.sink(size);
  }

  /** Answers `reads` with the bytes in the sink, and frees their slots. */
  answer(reads: readonly ParkedRead[]): void {
    const slots = this.#slots;
    for (let i = 0; i < reads.length; i++) slots[i] = reads[i].slot;
    this.#sink.end();
    this.#channel?.answer(slots, reads.length, this.#sink.copied, this.#isCorked);
    for (const read of reads) {
      this.#parked.noteShort(read, this.#sink.length);
      this.#parked.free(read);
    }
  }

  /** Lets the channel hold answers back until `uncork`. */
  cork(): void {
    this.#isCorked = true;
  }

  /** Sends the answers that wait. */
  uncork(): void {
    this.#isCorked = false;
    this.#channel?.uncork();
  }

  /**
   * Ends a parked read with an error, and frees its slot.
   * @param errno positive, as in errno(3)
   */
  fail(read: ParkedRead, errno: number): void {
    this.#channel?.fail(read.slot, errno);
    this.#parked.free(read);
  }

  /** Wakes the pollers of an open file: at once, or later if the last wake-up was slow. */
  wake(handle: Handle): void {
    this.#pollWakes.wake(handle);
  }

  /** Sends FUSE_NOTIFY_POLL. The kernel wakes all pollers of the open file inside this write(2). */
  #notifyPoll(handle: Handle): void {
    this.#channel?.notify(this.#session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh));
  }
}
