/**
 * udevd's events: NETLINK_KOBJECT_UEVENT, group 2, in libudev's format, once the rules ran. The sender is a process of root's
 * (libudev checks no more than that: sd-device/device-monitor.c), so that it has a port; what comes to us alone is dropped.
 *
 * With the kernel's group as a source too an event comes twice, once from each; nothing marks which is which but what udevd
 * has added (USEC_INITIALIZED, for one).
 */
import { readLibudev } from './libudev-reader.js';
import type { NetlinkGroup } from './uevent-source.js';

export const UDEV: NetlinkGroup = {
  number: 2,
  key: 'UDEV',
  owner: "udev's",
  kernelOnly: false,
  lossTimeoutMs: 1000, // rules may take their time
  disorderMs: 0, // rules may take any time, so that nothing is lost for coming late
  leastLoss: 1, // its events come out of order, so that the numbers around an overrun may say nothing
  read: readLibudev,
  publish: (bus, text) => bus.publishUdev(text),
};
