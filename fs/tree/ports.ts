/** What the tree needs of the driver that carries it to the kernel, to speak without being asked. */
import type { Sink } from '../bus/sink.js';
import type { Handle, ParkedRead } from './handle.js';

export interface Door {
  /** Begins an answer to parked reads that take `size` bytes: what is put into the sink is what they get. */
  begin(size: number): Sink;
  /** Ends it: all of `reads` get the same bytes. None is parked any more. */
  answer(reads: readonly ParkedRead[]): void;
  /** The answers from now on need not be on their way before `flush`: together they cost less. No event may come meanwhile. */
  gather(): void;
  flush(): void;
  /** A parked read fails with an errno. It is not parked any more. */
  fail(read: ParkedRead, errno: number): void;
  /** Whoever polls the handle must look again. */
  wake(handle: Handle): void;
}
