/** The kernel's uevents: NETLINK_KOBJECT_UEVENT, group 1 (lib/kobject_uevent.c). Only what the kernel itself sent is taken. */
import type { NetlinkGroup } from './uevent-source.js';

export const KERNEL: NetlinkGroup = {
  number: 1,
  key: 'KERNEL',
  owner: "the kernel's",
  kernelOnly: true,
  lossTimeoutMs: 100,
  disorderMs: 1000, // its sender may have to wait for a CPU in between
  leastLoss: 0,
  read: (data, start, length, text) => text.readDatagram(data, start, length),
  publish: (bus, text) => bus.publishKernel(text),
};
