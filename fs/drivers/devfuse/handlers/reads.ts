/** The driver, as far as the handlers need it: it parks READs. */
import type { Handle, ParkedRead } from '../../../tree/nodes/node.js';
import type { ReplySink } from '../reply-sink.js';

/** The calls of the handlers on the driver. */
export interface Reads {
  /** Begins a reply with at most `size` bytes of data, and returns its sink. */
  sink(size: number): ReplySink;
  /**
   * Parks the READ that is being served.
   * @param size the most bytes that it takes
   * @throws FsError EAGAIN if too many reads are parked, in all or of this user
   */
  park(handle: Handle, size: number): ParkedRead;
  /** Ends the parked read with this `unique` with EINTR. Does nothing if there is none. */
  interrupt(uniqueLow: number, uniqueHigh: number): void;
  /** Tells the driver that a process has opened a stream, whose reads may block. */
  streamOpened(): void;
  /** Whether events have come that the driver will soon hand to parked reads. */
  readonly holds: boolean;
  /**
   * Whether each read that may wait is parked, even if there are events for it: reads that have
   * waited for longer come later.
   */
  readonly parksAll: boolean;
  /**
   * Whether the daemon is ending: then no read blocks, and a read of a stream returns end of file.
   */
  readonly ending: boolean;
}
