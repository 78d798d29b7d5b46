/**
 * The calls from the tree to its driver. The tree uses them to answer parked reads and to wake
 * pollers, outside the request that it serves.
 */
import type { Sink } from '../bus/sink.js';
import { Errno } from '../shared/errors.js';
import type { Handle, ParkedRead } from './nodes/node.js';

/** The driver, as the tree calls it. */
export interface ReplyPort {
  /**
   * Begins an answer to parked reads.
   * @param size the size of each of the reads, in bytes
   * @returns the sink that takes the bytes of the answer
   */
  begin(size: number): Sink;
  /**
   * Ends the answer: sends the sink's bytes to each of `reads`. After the call none of them is
   * parked any more.
   */
  answer(reads: readonly ParkedRead[]): void;
  /**
   * Lets the driver hold the following answers until `uncork`: sent together, they cost less. No
   * event may come before `uncork`.
   */
  cork(): void;
  /** Sends the held answers. */
  uncork(): void;
  /**
   * Fails a parked read.
   * @param errno positive, as in errno(3)
   * @param why the reason for the trace, if it is not the usual one of the errno
   */
  fail(read: ParkedRead, errno: number, why?: string): void;
  /** Wakes the pollers of an open file, so that they poll it again. */
  wake(handle: Handle): void;
}

/** The port of a tree without a driver: drops everything. */
export const NO_PORT: ReplyPort = {
  begin: () => ({ room: 0, put: () => undefined }),
  answer: () => undefined,
  cork: () => undefined,
  uncork: () => undefined,
  fail: () => undefined,
  wake: () => undefined,
};

/**
 * Fails a parked read with EINTR. The driver calls it when a signal has come for the thread that
 * waits in the read.
 * @param port the driver's port
 * @param read the interrupted read
 * @param why the reason for the trace, if there was no signal
 */
export function interruptRead(port: ReplyPort, read: ParkedRead, why?: string): void {
  read.handle.unpark(read);
  port.fail(read, Errno.EINTR, why);
}
