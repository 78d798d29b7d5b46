/** Serves the requests that the channel has put in memory, and wakes blocked readers. */
import { ControlWord, RequestOutcome, SettleState, allocateResident } from '#native';
import type { RequestTracer } from '../../fuse/describe/request-tracer.js';
import { Session } from '../../fuse/session.js';
import { REPLY_BYTES, REQUEST_BYTES } from '../../fuse/sizes.js';
import { Errno, errnoName } from '../../shared/errors.js';
import type { Handle, NodeId } from '../../tree/nodes/node.js';
import type { ReplyPort } from '../../tree/ports.js';
import type { DriverHost } from '../driver.js';
import { BlockingReads } from './blocking-reads.js';
import type { Recovery } from './hand-over/recovery.js';
import { treeHandlers } from './handlers/handlers.js';
import { InotifyHelperHandlers } from './handlers/inotify-helper.js';

/** The session of a connection, its handlers and its blocked reads. */
export class RequestServer {
  readonly session: Session;
  readonly reads: BlockingReads;
  /** Memory that the channel shares: see FuseChannelOptions.control. */
  readonly control = new Uint32Array(ControlWord.count);
  /** The code of the trace, once it is loaded. */
  #tracing: typeof import('./traced-port.js') | null = null;

  /**
   * @param recovery the replies of the daemon before this one
   * @param notifyPoll sends FUSE_NOTIFY_POLL for an open file
   */
  constructor(
    private readonly host: DriverHost,
    readonly recovery: Recovery,
    notifyPoll: (handle: Handle) => void,
  ) {
    const { tree, logger } = host;
    // The kernel answers EIO by itself if the daemon is killed while the copy waits for a page
    const request = allocateResident(REQUEST_BYTES);
    const reply = new Uint8Array(REPLY_BYTES);
    this.reads = new BlockingReads(tree, request, reply, this.control, recovery, notifyPoll);
    const handlers = treeHandlers(tree, this.reads);
    this.session = new Session(
      request,
      reply,
      handlers,
      logger,
      new InotifyHelperHandlers(tree, handlers),
    );
  }

  /**
   * Serves the request in memory, and sets its outcome for the channel.
   * @param length the request's length in bytes
   */
  serve(length: number): void {
    this.host.noteRequest();
    const { control } = this;
    control[ControlWord.outcome] = RequestOutcome.noReply; // `park` changes it
    const { transactions } = this.reads;
    const replyLength =
      transactions === null
        ? this.session.dispatch(length)
        : transactions.serve(this.session, length, this.reads);
    if (replyLength === 0) return;
    control[ControlWord.replyLength] = replyLength;
    control[ControlWord.outcome] = RequestOutcome.replied;
  }

  /** Wakes readers for which events have come, unless older readers may still come. */
  settle(): void {
    if (this.recovery.isOver) this.host.tree.bus.settleSome();
  }

  /**
   * Switches the trace of requests and answers on or off. While it is off, the path of a request
   * has no branch for it. If the code of the trace is not loaded yet, it begins later.
   */
  trace(): void {
    const { tree, trace } = this.host;
    const line = trace.requests;
    const tracing = this.#tracing;
    if (line !== null && tracing === null) void this.loadTracing();
    const { reads } = this;
    if (line === null || tracing === null) this.#report(reads, null);
    else {
      const tracer = tracing.requestTracer(line, (parent, name) =>
        tree.whyNotFound(parent as NodeId, name),
      );
      this.#report(new tracing.TracedPort(reads, reads.parked.uniques, tracer), tracer);
    }
  }

  #report(port: ReplyPort, tracer: RequestTracer | null): void {
    this.session.traceTo(tracer);
    this.host.tree.attach(port, () => (this.control[ControlWord.settle] = SettleState.pending));
  }

  /** Loads the code of the trace, and begins a trace that waits for it. */
  async loadTracing(): Promise<void> {
    if (this.#tracing !== null) return;
    this.#tracing = await import('./traced-port.js');
    if (this.host.trace.requests !== null) this.trace();
  }

  /**
   * Logs that the kernel has rejected a reply.
   * @param isParked whether it was the reply to a parked READ
   */
  warnRefused(errno: number, isParked: boolean): void {
    const operation = isParked ? 'FUSE_READ' : this.session.current;
    this.host.logger.warn(
      errno === Errno.ENOMSG
        ? `${operation}: its handler returned no reply, so the daemon answers EIO (report this bug)`
        : `${operation}: the kernel rejected the reply: ${errnoName(errno)}`,
    );
  }
}
