/** What the tree calls on the driver that carries it to the kernel, to speak without being asked. */
import type { Sink } from '../bus/sink.js';
import { Errno } from '../shared/errors.js';
import type { Handle, ParkedRead } from './nodes/node.js';

export interface ReplyPort {
  /**
   * Begins an answer to parked reads.
   * @param size the most bytes that each of them takes
   * @returns where to put what all of them get
   */
  begin(size: number): Sink;
  /** Ends the answer: all of `reads` get the same bytes. None of them is parked any more. */
  answer(reads: readonly ParkedRead[]): void;
  /** The answers from now on may wait for `uncork`: together they cost less. No event may come meanwhile. */
  cork(): void;
  /** Sends the answers that wait. */
  uncork(): void;
  /**
   * Ends a parked read with an error.
   * @param errno positive, as in errno(3)
   */
  fail(read: ParkedRead, errno: number): void;
  /** Tells the pollers of an open file to look again. */
  wake(handle: Handle): void;
}

/** The port of a tree without a driver: nobody listens. */
export const NO_PORT: ReplyPort = {
  begin: () => ({ room: 0, put: () => undefined }),
  answer: () => undefined,
  cork: () => undefined,
  uncork: () => undefined,
  fail: () => undefined,
  wake: () => undefined,
};

/** A signal has come for the thread that waits in a parked read: the read ends with EINTR. */
export function interruptRead(port: ReplyPort, read: ParkedRead): void {
  read.handle.unpark(read);
  port.fail(read, Errno.EINTR);
}
