/**
 * The waiters for the events of one queue or of one filter: blocked reads, in the order in which
 * they came, and pollers. A blocked read leaves in one of three ways, all in this file: the daemon
 * answers it, the daemon fails it, or a signal interrupts it.
 */
import type { Handle, ParkedRead } from '../nodes/node.js';
import type { ReplyPort } from '../ports.js';
import { ReadList } from './read-list.js';

/** The blocked reads and pollers of one queue or filter. */
export class Waiters {
  readonly reads = new ReadList();
  /** Null until the first poller comes: most directories are never polled. */
  #pollers: Set<Handle> | null = null;

  /** The number of blocked reads and pollers. */
  get size(): number {
    return this.reads.size + (this.#pollers?.size ?? 0);
  }

  /** Whether a blocked read or a poller waits. */
  get any(): boolean {
    return this.reads.size > 0 || (this.#pollers !== null && this.#pollers.size > 0);
  }

  /** Adds a read that blocks. */
  park(read: ParkedRead): void {
    this.reads.add(read);
  }

  /** Removes a read that the daemon is about to answer, or that a signal has interrupted. */
  unpark(read: ParkedRead): void {
    this.reads.delete(read);
  }

  /** Adds an open file that is polled: the next event wakes its pollers. */
  watch(handle: Handle): void {
    (this.#pollers ??= new Set()).add(handle);
  }

  /** Removes an open file that is closed. */
  unwatch(handle: Handle): void {
    this.#pollers?.delete(handle);
  }

  /**
   * Wakes pollers and removes them.
   * @param most the most open files whose pollers it wakes
   * @returns the number of these
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
   * Fails some blocked reads and wakes some pollers: their directory has ended.
   * @param errno positive, as in errno(3)
   * @param most the most reads, and the most pollers
   * @returns whether no read and no poller is left
   */
  failSome(port: ReplyPort, errno: number, most: number): boolean {
    let left = most;
    for (let read = this.reads.first; read !== null; read = this.reads.first) {
      if (left-- === 0) return false;
      this.reads.delete(read);
      port.fail(read, errno);
    }
    this.wakePollers(port, most);
    return this.#pollers === null || this.#pollers.size === 0;
  }

  /** Answers every blocked read with the end of the file. Called when the daemon ends. */
  end(port: ReplyPort): void {
    for (let read = this.reads.first; read !== null; read = this.reads.first) {
      this.reads.delete(read);
      port.begin(0);
      port.answer([read]);
    }
  }
}
