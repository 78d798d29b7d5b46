/**
 * The group of udevd's events: NETLINK_KOBJECT_UEVENT, group 2, in libudev's format. udevd sends an
 * event after its rules have run. The sender is a process of root, so its netlink port is not 0;
 * libudev checks no more than that (sd-device/device-monitor.c). The source drops datagrams that
 * are sent to its socket alone instead of to the group.
 *
 * If the kernel's group is a source too, each event comes twice, once from each group. Only the
 * properties that udevd has added (USEC_INITIALIZED, for one) tell the two apart.
 */
import { readLibudev } from './libudev-reader.js';
import type { NetlinkGroup } from './source-types.js';

/** udevd's group. */
export const UDEV: NetlinkGroup = {
  number: 2,
  key: 'UDEV',
  owner: "udev's",
  kernelOnly: false,
  lossTimeoutMs: 1000, // udevd's rules may take long
  disorderMs: 0, // rules may take any time, so no event is dropped because it comes late
  leastLoss: 1, // its events come out of order, so the SEQNUMs around an overrun may show no loss
  read: readLibudev,
  publish: (bus, text) => bus.publishUdev(text),
};
