/**
 * The default driver: it serves the tree on /dev/fuse itself, without libfuse.
 *
 * A request, by read(2) and write(2) or by io_uring:
 *
 *   kernel --> request --drain the deaths--> session --> handlers --> tree --> reply --> kernel
 *
 * An event, with one answer for all parked reads at the same place of the log:
 *
 *   bus --take, settle--> tree --ReplyPort--> blocking-reads --> kernel
 */
import { FuseChannel } from '#native';
import { type Connection, NO_CONNECTION, connectionAt } from '../../shared/kernel/connection.js';
import { DEFAULT_MOUNT_SOURCE } from '../../shared/kernel/mountinfo.js';
import { PAYLOAD_BYTES } from '../../fuse/sizes.js';
import { type Keeper, NO_KEEPER } from '../../shared/kernel/keeper.js';
import type { Handle } from '../../tree/nodes/node.js';
import type { DevFuseOptions, Driver, DriverHost } from '../driver.js';
import { Hangs } from './hangs.js';
import { type FuseMount, mountFuse, mountLimits } from '../common/mount-fuse.js';
import { clearMountPoint, detachOrTell, tellEnd } from '../common/mount-point.js';
import {
  type AdoptedMount,
  KEPT_DEVICE,
  adoptMount,
  keepMount,
  pathOf,
} from './hand-over/adopt.js';
import { negotiate } from './negotiation.js';
import { ENDLESS, readLife, warnOfLife } from '../common/read-life.js';
import { Notifier } from './notifier.js';
import { Recovery } from './hand-over/recovery.js';
import { RequestServer } from './request-server.js';
import { RingStallRescuer } from './io-uring/ring-stall-rescuer.js';
import { RING_PARAMETER, possibleCpus, suitsRing } from '../../shared/kernel/ring-parameter.js';
import { readRequestTimeouts } from '../../shared/kernel/request-timeout.js';

/** How long the parts wait for their start that no client needs at once, in milliseconds. */
const LATER_MS = 50;

/** The driver `devfuse`. */
export class DevFuse implements Driver {
  readonly #requests: RequestServer;
  #channel: FuseChannel | null = null;
  /** Whether requests come through io_uring. */
  #isRing = false;
  /** How long reads may block, by the kernel's limit. */
  #readLife = ENDLESS;
  readonly #hangs: Hangs;
  /** Releases requests that are stuck, which happens with io_uring only. */
  #stallRescuer: RingStallRescuer | null = null;
  /** Raises inotify events while the tree is mounted. */
  #notifier: Notifier | null = null;
  /** The minor number of the mount's device, which finds the mount even after it was moved. */
  #connection: Connection = NO_CONNECTION;
  #path = '';
  /** Whether the kernel must send unanswered requests again before the first read. */
  #needsResend = false;
  /** How the tree was mounted; null before. */
  #mounted: FuseMount | null = null;

  constructor(
    private readonly host: DriverHost,
    private readonly options: DevFuseOptions,
  ) {
    const { tree, logger, trace } = host;
    const recovery = options.recovery ?? new Recovery();
    const requests = new RequestServer(host, recovery, (handle) => this.#notifyPoll(handle));
    this.#requests = requests;
    this.#hangs = new Hangs(requests.session, requests.reads, logger, options);
    trace.watch(() => requests.trace());
    tree.report(() => [
      ['TRANSPORT', this.#channel?.usesRing() === true ? 'io-uring' : 'read'],
      ['PARKED', requests.reads.parked.size],
      ['STARVED', this.#stallRescuer?.helped ?? 0],
      ['HUNG', this.#hangs.count],
      ['REQUEST_TIMEOUT', this.#readLife.limit],
      ['EXPIRED', requests.reads.expired],
    ]);
  }

  /**
   * Mounts the tree and serves requests in the event loop.
   * @param path the mount point, as /proc/self/mountinfo shows it
   * @param onEnd called if the connection ends without a call of `unmount`: another process has
   *   unmounted it
   * @throws UserError if the tree can't be mounted, if the kernel sends no INIT within 5 s, or if
   *   it ends the connection
   */
  async mount(path: string, onEnd: () => void): Promise<void> {
    const { keeper = NO_KEEPER, keptInit } = this.options;
    const adopted = keptInit === undefined ? null : adoptMount(keeper, keptInit);
    this.#limitReads(adopted);
    // After a death clients wait: the code comes later, if it is not needed at once
    if (adopted === null || this.host.trace.requests !== null) await this.#requests.loadTracing();
    this.#path = adopted === null ? path : pathOf(adopted.connection, path);
    if (adopted === null) await this.#mountNew(path, onEnd);
    else this.#adopt(adopted, keeper, onEnd);
  }

  async #mountNew(path: string, onEnd: () => void): Promise<void> {
    const { keeper = NO_KEEPER, keptInit } = this.options;
    await clearMountPoint(path, this.host.logger);
    this.#mounted = await mountFuse(path, this.options.fsname ?? DEFAULT_MOUNT_SOURCE);
    this.#connection = connectionAt(path);
    const negotiating = negotiate(this.#requests.session, path, keeper.keeps, () =>
      this.#useRing(),
    );
    this.#open(this.#mounted.fd, path, () => {
      negotiating.ended();
      onEnd();
    });
    this.#channel!.start();
    await negotiating.done;
    if (!this.#isRing && this.options.transport === 'io-uring') this.#warnNoRing();
    if (keeper.keeps && keptInit !== undefined)
      keepMount(keeper, keptInit, {
        ...this.#mounted,
        connection: this.#connection,
        protocolMinor: this.#requests.session.init.minor,
        readLife: this.#readLife,
      });
    this.#startNotifier();
  }

  #adopt(adopted: AdoptedMount, keeper: Keeper, onEnd: () => void): void {
    this.#mounted = adopted;
    this.#connection = adopted.connection;
    this.#requests.session.adopt(adopted.protocolMinor);
    this.#open(adopted.fd, this.#path, onEnd);
    this.#needsResend = !keeper.resends;
  }

  /** Makes the channel. It serves once it is started. */
  #open(fd: number, path: string, onEnd: () => void): void {
    const requests = this.#requests;
    const { session, reads } = requests;
    const channel = new FuseChannel({
      fd,
      busyPollUs: this.options.busyPollUs,
      deaths: this.host.tree.owners.watch,
      request: session.request.bytes,
      reply: session.reply.bytes,
      log: this.host.tree.bus.log.memory,
      control: requests.control,
      parked: reads.parked.uniques,
      onRequest: (length) => requests.serve(length),
      onSettle: () => requests.settle(),
      onRefused: (errno, isParked) => requests.warnRefused(errno, isParked),
      onStarved: () => this.#stallRescuer?.told(),
      onDry: () => requests.recovery.end(),
      hang: this.#hangs.options,
      onHung: this.#hangs.told,
      onEnd: (errno) => {
        tellEnd(path, errno, this.host.logger);
        this.#letGo();
        this.#detach(); // an aborted connection is still mounted
        this.#notifier?.stop();
        onEnd();
      },
    });
    this.#channel = channel;
    reads.open(channel);
    this.#stallRescuer = new RingStallRescuer(channel, path, this.#connection.minor);
  }

  #startNotifier(): void {
    if (this.#channel === null || this.#notifier !== null) return;
    this.#notifier = new Notifier(
      this.host.tree.inotify,
      this.host.logger,
      this.host.trace,
      this.#path,
      this.#connection.minor,
    );
  }

  serve(): void {
    if (this.#needsResend) this.#resend();
    this.#needsResend = false;
    this.#channel?.start();
    if (!this.#requests.recovery.isOver) this.#channel?.serveTurn(); // also if no request waits
    // Not at once: the start of a process takes some ms, and clients have waited
    if (this.#notifier !== null) this.#notifier.resume();
    else
      setTimeout(() => {
        this.#startNotifier();
        void this.#requests.loadTracing();
      }, LATER_MS);
  }

  /** Makes the kernel send unanswered requests again. */
  #resend(): void {
    const { recovery, session } = this.#requests;
    const { leftReply } = recovery;
    if (leftReply !== null) {
      session.reply.bytes.set(leftReply);
      this.#channel?.notify(leftReply.length); // fails if the last daemon has sent it
    }
    this.#channel?.notify(session.reply.resend());
  }

  takeBack(): void {
    // The guardian may have sent RESEND before it ended: then the parked reads have other numbers
    this.#requests.reads.forgetUnanswered();
    this.#needsResend = true;
  }

  pause(): void {
    this.#channel?.pause();
    this.#notifier?.pause();
  }

  /**
   * Asks for the longest limit on the age of requests, and lets blocked reads end before it.
   * @param adopted the mount of the last daemon: its limit stays, whatever the kernel has for
   *   others
   * @throws UserError if the kernel's limit is too short
   */
  #limitReads(adopted: AdoptedMount | null): void {
    this.#readLife = adopted?.readLife ?? readLife(readRequestTimeouts(), true);
    this.#requests.reads.limitLife(this.#readLife.ms);
    this.#requests.session.init.limitRequests(this.#readLife.asked);
    if (adopted === null) warnOfLife(this.#readLife, this.host.logger);
  }

  /** The limits of a mount that an ordinary user has made. */
  get limits(): readonly string[] {
    return this.#mounted === null ? [] : mountLimits(this.#mounted);
  }

  /** Sets io_uring up if the options want it. @returns whether requests come through it */
  #useRing(): boolean {
    const { transport } = this.options;
    const isWanted = transport === 'auto' ? suitsRing() : transport === 'io-uring';
    this.#isRing = isWanted && this.#channel!.prepareRing(possibleCpus(), PAYLOAD_BYTES);
    if (this.#isRing) this.#requests.reads.useRing();
    return this.#isRing;
  }

  #warnNoRing(): void {
    this.host.logger.warn(
      `io_uring is not available here, so the daemon reads requests from /dev/fuse (try echo Y > ${RING_PARAMETER}, and mount again)`,
    );
  }

  /**
   * Ends every blocked read with end of file, serves all requests that wait, unmounts, and closes
   * the channel. Does nothing if the channel is closed already.
   */
  unmount(): void {
    const channel = this.#channel;
    if (channel === null) return;
    this.options.keeper?.drop(KEPT_DEVICE);
    this.#requests.reads.end();
    this.host.tree.end();
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
    this.#requests.reads.close();
  }

  #detach(): void {
    detachOrTell(this.#connection, this.host.logger);
  }

  /** Sends FUSE_NOTIFY_POLL. The kernel wakes all pollers of the open file inside this write(2). */
  #notifyPoll(handle: Handle): void {
    this.#channel?.notify(
      this.#requests.session.reply.pollWakeup(handle.pollKeyLow, handle.pollKeyHigh),
    );
  }
}
