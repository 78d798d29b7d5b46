/** Serves the requests that the channel has put in memory, and wakes blocked readers. */
import { ControlWord, RequestOutcome, SettleState } from '#native';
import { RequestTracer } from '../../fuse/describe/request-tracer.js';
import { Session } from '../../fuse/session.js';
import { REPLY_BYTES, REQUEST_BYTES } from '../../fuse/sizes.js';
import { Errno, errnoName } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';
import type { TraceLine } from '../../shared/log/trace.js';
import type { Handle, NodeId } from '../../tree/nodes/node.js';
import type { Tree } from '../../tree/tree.js';
import { BlockingReads } from './blocking-reads.js';
import type { Recovery } from './hand-over/recovery.js';
import { treeHandlers } from './handlers/handlers.js';
import { InotifyHelperHandlers } from './handlers/inotify-helper.js';
import { TracedPort } from './traced-port.js';

/** The session of a connection, its handlers and its blocked reads. */
export class RequestServer {
  readonly session: Session;
  readonly reads: BlockingReads;
  /** Memory that the channel shares: see FuseChannelOptions.control. */
  readonly control = new Uint32Array(ControlWord.count);

  /**
   * @param recovery the replies of the daemon before this one
   * @param noteRequest called for each request before it is served
   * @param notifyPoll sends FUSE_NOTIFY_POLL for an open file
   */
  constructor(
    private readonly tree: Tree,
    private readonly logger: Logger,
    readonly recovery: Recovery,
    private readonly noteRequest: () => void,
    notifyPoll: (handle: Handle) => void,
  ) {
    const request = new Uint8Array(REQUEST_BYTES);
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
    this.noteRequest();
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
    if (this.recovery.isOver) this.tree.bus.settleSome();
  }

  /**
   * Switches the trace of requests and answers on or off. While it is off, the path of a request
   * has no branch for it.
   * @param line writes a line of the trace; null for no trace
   */
  traceTo(line: TraceLine | null): void {
    const { tree } = this;
    const tracer =
      line === null
        ? null
        : new RequestTracer(line, (parent, name) => tree.whyNotFound(parent as NodeId, name));
    this.session.traceTo(tracer);
    tree.attach(
      tracer === null ? this.reads : new TracedPort(this.reads, this.reads.parked.uniques, tracer),
      () => (this.control[ControlWord.settle] = SettleState.pending),
    );
  }

  /**
   * Logs that the kernel has rejected a reply.
   * @param isParked whether it was the reply to a parked READ
   */
  warnRefused(errno: number, isParked: boolean): void {
    const operation = isParked ? 'FUSE_READ' : this.session.current;
    this.logger.warn(
      errno === Errno.ENOMSG
        ? `${operation}: its handler returned no reply, so the daemon answers EIO (report this bug)`
        : `${operation}: the kernel rejected the reply: ${errnoName(errno)}`,
    );
  }
}
