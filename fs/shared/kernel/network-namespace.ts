/** Whether the kernel's events reach this process's network namespace. */
import { namespaceOwner } from '#native';
import { isSystemError } from '../errors.js';

/** The inode number of the first user namespace (include/linux/proc_ns.h, PROC_USER_INIT_INO). */
const INITIAL_USER_NAMESPACE = 0xeffffffd;

/**
 * Tells whether the kernel sends device events to this network namespace. It sends them only to
 * those that the first user namespace owns; all others get only the events of their own network
 * devices (lib/kobject_uevent.c, uevent_net_init()).
 *
 * @returns true also if the owner is around this process's user namespace: it is mostly the first
 */
export function getsKernelEvents(): boolean {
  try {
    const owner = namespaceOwner('/proc/self/ns/net');
    return owner === 0 || owner === INITIAL_USER_NAMESPACE;
  } catch (error) {
    if (isSystemError(error)) return true; // the kernel has no such question
    throw error;
  }
}

/** The remedy for a daemon in such a network namespace. */
export const OTHER_NETWORK_REMEDY =
  'start the daemon outside this network namespace, or send its events in: eventfs mount --netns, outside';

/** Returns the limit of a daemon whose network namespace gets no device events. */
export function networkLimits(): readonly string[] {
  return getsKernelEvents()
    ? []
    : [
        `a user namespace owns this network namespace, so the kernel sends it only events of its own network devices (${OTHER_NETWORK_REMEDY})`,
      ];
}
