/**
 * Who waits for the events of one queue, or of one filter: blocked reads in the order in which they came, and pollers. A blocked
 * read leaves in one of three ways, each of which is here: it is answered, it fails, or it was interrupted.
 */
import type { Handle, ParkedRead } from '../nodes/node.js';
import type { ReplyPort } from '../ports.js';

export class Waiters {
  /** The blocked reads. Whoever walks them may take out the one that is walked. */
  readonly reads = new Set<ParkedRead>();
  /** Made when the first comes: most directories are never polled. */
  #pollers: Set<Handle> | null = null;

  /** How many reads and pollers wait. */
  get size(): number {
    return this.reads.size + (this.#pollers?.size ?? 0);
  }

  /** Whether an event that comes now must be told of. */
  get any(): boolean {
    return this.reads.size > 0 || (this.#pollers !== null && this.#pollers.size > 0);
  }

  /** A read blocks. */
  park(read: ParkedRead): void {
    this.reads.add(read);
  }

  /** A read is about to be answered, or was interrupted. */
  unpark(read: ParkedRead): void {
    this.reads.delete(read);
  }

  /** An open file is polled. */
  watch(handle: Handle): void {
    (this.#pollers ??= new Set()).add(handle);
  }

  /** An open file is closed. */
  unwatch(handle: Handle): void {
    this.#pollers?.delete(handle);
  }

  /**
   * Wakes pollers.
   * @param most how many
   * @returns how many
   */
  wakePollers(port: ReplyPort, most: number): number {
    const pollers = this.#pollers;
    if (pollers === null) return 0;
    let woken = 0;
    for (const handle of pollers) {
      if (woken === most) break;
      pollers.delete(handle);
      port.wake(handle);
      woken++;
    }
    return woken;
  }

  /**
   * What they wait for has ended: fails some blocked reads and wakes some pollers.
   * @param errno positive, as in errno(3)
   * @param most how many of each
   * @returns whether none is left
   */
  failSome(port: ReplyPort, errno: number, most: number): boolean {
    let left = most;
    for (const read of this.reads) {
      if (left-- === 0) return false;
      this.reads.delete(read);
      port.fail(read, errno);
    }
    this.wakePollers(port, most);
    return this.#pollers === null || this.#pollers.size === 0;
  }

  /** The daemon ends: every blocked read gets the end of the file. */
  end(port: ReplyPort): void {
    for (const read of this.reads) {
      port.begin(0);
      port.answer([read]);
    }
    this.reads.clear();
  }
}
