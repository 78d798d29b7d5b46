/**
 * How requests get from the kernel to devfuse: by read(2) of /dev/fuse, or through io_uring
 * (native/addon/io_uring/fuse_ring.h).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { TransportName } from '../../driver.js';

/**
 * Each possible CPU has a queue of its own, with room for every stream: beyond that it has not been
 * measured.
 */
const MOST_CPUS = 16;
/**
 * What readlink(2) of /proc/self/ns/pid gives in the first PID namespace: include/linux/proc_ns.h,
 * PROC_PID_INIT_INO.
 */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/**
 * Whether to take io_uring where it is offered. On one CPU it is slower
 * (docs/decisions/060-io-uring-one-thread.md). And from outside of our PID namespace readers come
 * without a PID, of whom we could not tell whether a signal has come (missed-interrupt-poller.ts).
 */
export function wantsRing(transport: TransportName): boolean {
  if (transport !== 'auto') return transport === 'io-uring';
  return availableParallelism() > 1 && possibleCpus() <= MOST_CPUS && isInFirstNamespace();
}

/**
 * How many CPUs the machine may ever have, as the kernel counts its queues: `0-3` or `0,2-3`. 0
 * when nobody says.
 */
export function possibleCpus(): number {
  let text: string;
  try {
    text = readFileSync('/sys/devices/system/cpu/possible', 'latin1');
  } catch {
    return 0;
  }
  return text
    .trim()
    .split(',')
    .map((range) => range.split('-').map(Number))
    .reduce((count, [first, last = first]) => count + last - first + 1, 0);
}

function isInFirstNamespace(): boolean {
  try {
    return readlinkSync('/proc/self/ns/pid') === FIRST_PID_NAMESPACE;
  } catch {
    return false;
  }
}
