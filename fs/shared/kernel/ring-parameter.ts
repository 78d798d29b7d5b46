/** The kernel's switch for FUSE over io_uring, and the machines that it is of use on. */
import { readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';

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

/** The fuse module's parameter: whether the kernel offers io_uring to new mounts. */
export const RING_PARAMETER = '/sys/module/fuse/parameters/enable_uring';

/**
 * Reads the parameter.
 *
 * @returns whether the kernel offers io_uring to new mounts; undefined if it lacks the parameter
 */
export function isRingOffered(): boolean | undefined {
  try {
    return readFileSync(RING_PARAMETER, 'latin1').startsWith('Y');
  } catch {
    return undefined;
  }
}

/**
 * Returns whether io_uring is of use on this machine: to `--transport auto`, if the kernel offers
 * it. It is not on one CPU, where it is slower (docs/decisions/060-io-uring-one-thread.md), nor
 * outside of the first PID namespace: readers outside of the daemon's PID namespace have no PID
 * there, so the daemon could not see whether a signal has come for them
 * (drivers/devfuse/io-uring/missed-interrupt-poller.ts).
 */
export function suitsRing(): boolean {
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
