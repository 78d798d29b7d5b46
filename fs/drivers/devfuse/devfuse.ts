/**
 * The tree on /dev/fuse: the short way.
 *
 *   kernel --read, or io_uring--> request --drain the deaths--> session --> handlers --> tree --> reply --write, or io_uring--> kernel
 *   bus --take, settle--> tree --ReplyPort--> one answer for all the parked reads that stand at the same place
 */
import { ControlWord, FuseChannel, RequestOutcome, SettleState } from '#native';
import { Errno, FsError, UserError, errnoName } from '../../shared/errors.js';
import { DEFAULT_MOUNT_SOURCE, mountedAt } from '../../shared/kernel/mountinfo.js';
import { PAYLOAD_BYTES, REPLY_BYTES, REQUEST_BYTES, Session } from '../../fuse/session.js';
import { RequestTracer } from '../../fuse/request-tracer.js';
import type { Logger } from '../../shared/logger.js';
import type { Trace, TraceLine } from '../../shared/trace.js';
import type { Sink } from '../../bus/sink.js';
import { type ReplyPort, interruptRead } from '../../tree/ports.js';
import type { Handle, NodeId, ParkedRead } from '../../tree/nodes/node.js';
import type { Tree } from '../../tree/tree.js';
import type { DevFuseOptions, Driver } from '../driver.js';
import { type Reads, TreeHandlers } from './handlers.js';
import { InotifyHelperHandlers } from './inotify-helper-handlers.js';
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

/** How many reads may wait at once: what is beyond is told EAGAIN. */
const MOST_PARKED = 64 * 1024;
/** The most data of one reply. */
const MOST_DATA = REPLY_BYTES - 4096;

/** How long a connection may take to negotiate: the kernel asks at once. */
const INIT_TIMEOUT_MS = 5000;

export class DevFuse implements Driver, ReplyPort, Reads {
  /** Set once the daemon is going: streams are at their end. */
  ending = false;
  readonly #session: Session;
  readonly #parked: ParkedReads;
  readonly #sink: ReplySink;
  /** Words that the channel shares: see FuseChannelOptions.control. */
  readonly #control = new Uint32Array(ControlWord.count);
  readonly #slots = new Uint32Array(MOST_PARKED);
  readonly #requestWords: Uint32Array;
  #channel: FuseChannel | null = null;
  /** Whether answers are gathered. */
  #isCorked = false;
  /** Whether requests come through io_uring, and with it what the kernel does not do for us there. */
  #isRing = false;
  #stallRescuer: RingStallRescuer | null = null;
  readonly #missedInterrupts: MissedInterruptPoller;
  readonly #pollWakes = new PollWakes((handle) => this.#notifyPoll(handle));
  /** Raises inotify events, while the mount is there. */
  #notifier: Notifier | null = null;
  /** The mount's device, by which it is found again wherever it has been moved. */
  #connection = -1;

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
    this.#session = new Session(
      request,
      reply,
      new TreeHandlers(tree, this),
      logger,
      new InotifyHelperHandlers(tree, this),
    );
    trace.watch(() => this.#traceTo(trace.requests));
    tree.report(() => [
      ['TRANSPORT', this.#channel?.usesRing() === true ? 'io-uring' : 'read'],
      ['PARKED', this.#parked.size],
      ['STARVED', this.#stallRescuer?.helped ?? 0],
    ]);
  }

  /**
   * Mounts and serves in the event loop; resolves once the kernel has negotiated. Throws {@link UserError}.
   * @param onEnd called when the connection is over though nobody said so: somebody has unmounted
   */
  async mount(path: string, onEnd: () => void): Promise<void> {
    await clearMountPoint(path, this.logger);
    const fd = mountFuse(path, this.options.fsname ?? DEFAULT_MOUNT_SOURCE);
    this.#connection = mountedAt(path)?.minor ?? -1;
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
    this.#stallRescuer = new RingStallRescuer(channel, path, this.#connection);
    channel.start();
    await negotiated;
    if (!this.#isRing && this.options.transport === 'io-uring') this.#warnNoRing();
    if (this.#channel !== null)
      this.#notifier = new Notifier(
        this.tree.inotify,
        this.logger,
        this.trace,
        path,
        this.#connection,
      );
  }

  #warnNoRing(): void {
    this.logger.warn(
      `io_uring is not available, and requests are read from /dev/fuse (try echo Y > ${RING_PARAMETER}, and mount again)`,
    );
  }

  /** The kernel has not taken a reply. */
  #warnRefused(errno: number, isParked: boolean): void {
    const operation = isParked ? 'FUSE_READ' : this.#session.current;
    this.logger.warn(`${operation}: the kernel refused the reply: ${errnoName(errno)}`);
  }

  /** Ends every blocked read with the end of the file, answers what has been asked by now, unmounts and lets go. */
  unmount(): void {
    const channel = this.#channel;
    if (channel === null) return;
    this.ending = true;
    this.tree.end();
    // The end of a mount waits for requests that are on their way to us (fs/fuse/dev.c, fuse_wait_aborted()), and through io_uring
    // they only get here by this thread: it must not be the one that waits. So there the ring goes first.
    if (!this.#isRing) this.#detach();
    channel.serve();
    channel.close();
    if (this.#isRing) this.#detach();
    this.#letGo();
    this.#notifier?.stop();
  }

  /** The channel is closed. */
  #letGo(): void {
    this.#channel = null;
    this.#stallRescuer?.stop();
    this.#pollWakes.stop();
    this.#missedInterrupts.stop();
  }

  #detach(): void {
    detachOrTell(this.#connection, this.logger);
  }

  /** Puts the trace in the way of requests and answers, or takes it out: without it there is not so much as a branch for it. */
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

  /** Serves the request in memory, and tells the channel what has become of it. */
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

  sink(size: number): ReplySink {
    return this.#sink.begin(Math.min(size, MOST_DATA));
  }

  get holds(): boolean {
    return this.#control[ControlWord.settle] !== SettleState.settled;
  }

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

  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const read = this.#parked.find(uniqueLow, uniqueHigh);
    // One that is answered already is on its way: the signal comes too late for it.
    if (read !== undefined) interruptRead(this.tree.port, read);
  }

  streamOpened(): void {
    if (this.#isRing) this.#channel?.expectBlocked(this.tree.ledger.mount.streams);
  }

  // ---- ReplyPort

  begin(size: number): Sink {
    return this.sink(size);
  }

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

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#channel?.uncork();
  }

  fail(read: ParkedRead, errno: number): void {
    this.#channel?.fail(read.slot, errno);
    this.#parked.free(read);
  }

  wake(handle: Handle): void {
    this.#pollWakes.wake(handle);
  }

  /** NOTIFY_POLL: the kernel wakes all pollers of an open file inside this write(2). */
  #notifyPoll(handle: Handle): void {
    this.#channel?.notify(this.#session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh));
  }
}
