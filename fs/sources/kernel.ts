/**
 * The group of the kernel's uevents: NETLINK_KOBJECT_UEVENT, group 1 (lib/kobject_uevent.c). The
 * source accepts only datagrams that the kernel itself has sent.
 */
import type { NetlinkGroup } from './source-types.js';

/** The kernel's group. */
export const KERNEL: NetlinkGroup = {
  number: 1,
  key: 'KERNEL',
  owner: "the kernel's",
  kernelOnly: true,
  lossTimeoutMs: 100,
  // after it numbers an event, the kernel's sender may have to wait for a CPU before it sends
  disorderMs: 1000,
  leastLoss: 0,
  read: (data, start, length, text) => text.readDatagram(data, start, length),
  publish: (bus, text) => bus.publishKernel(text),
};
