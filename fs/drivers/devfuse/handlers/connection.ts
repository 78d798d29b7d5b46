/** The handlers of requests about the connection: the kernel's memory of nodes, and interrupts. */
import { DONE, type Handlers, NO_REPLY } from '../../../fuse/opcodes.js';
import type { Outcome } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import type { NodeId } from '../../../tree/nodes/node.js';
import type { Tree } from '../../../tree/tree.js';
import type { Reads } from './reads.js';

type Methods = 'forget' | 'batchForget' | 'interrupt' | 'destroy';

/** Serves the requests about the connection. */
export class ConnectionHandlers implements Pick<Handlers, Methods> {
  constructor(
    private readonly tree: Tree,
    private readonly reads: Reads,
  ) {}

  /** The kernel sends it when it drops an inode. No reply. */
  forget(request: Request): Outcome {
    this.tree.forget(request.nodeid as NodeId, request.u64());
    return NO_REPLY;
  }

  /** The kernel sends it when it drops many inodes. No reply. */
  batchForget(request: Request): Outcome {
    const count = request.u32();
    request.skip(4);
    for (let i = 0; i < count; i++) this.tree.forget(request.u64() as NodeId, request.u64());
    return NO_REPLY;
  }

  /**
   * The kernel sends it when a signal comes for a caller that waits. No reply; the interrupted
   * request fails with EINTR.
   */
  interrupt(request: Request): Outcome {
    this.reads.interrupt(request.u32(), request.u32());
    return NO_REPLY;
  }

  /** The last request of some mounts. This one never gets it: it ends with ENODEV instead. */
  destroy(): Outcome {
    return DONE;
  }
}
