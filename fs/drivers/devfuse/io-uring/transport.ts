/**
 * Chooses how devfuse receives requests: by read(2) of /dev/fuse, or by io_uring
 * (native/addon/io_uring/fuse_ring.h).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { TransportName } from '../../driver.js';

/**
 * `auto` uses io_uring up to this number of possible CPUs. Each has its own queue, with room for
 * every stream. More CPUs have not been measured.
 */
const MOST_CPUS = 16;
/**
 * The result of readlink(2) of /proc/self/ns/pid in the first PID namespace:
 * include/linux/proc_ns.h, PROC_PID_INIT_INO.
 */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/**
 * Returns whether to use io_uring if the kernel offers it. `auto` does not use it on one CPU, where
 * it is slower (docs/decisions/060-io-uring-one-thread.md), nor outside of the first PID namespace:
 * readers outside of the daemon's PID namespace have no PID there, so the daemon could not see
 * whether a signal has come for them (missed-interrupt-poller.ts).
 */
export function wantsRing(transport: TransportName): boolean {
  if (transport !== 'auto') return transport === 'io-uring';
  return availableParallelism() > 1 && possibleCpus() <= MOST_CPUS && isInFirstNamespace();
}

/**
 * Returns how many CPUs the machine may ever have; the kernel has as many queues. Reads
 * /sys/devices/system/cpu/possible, which contains for example `0-3` or `0,2-3`.
 * @returns 0 if the file can't be read
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
