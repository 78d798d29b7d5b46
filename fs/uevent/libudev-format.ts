/**
 * libudev's own format on netlink: udevd sends it to group 2 after its rules have run, and libudev
 * reads it there.
 *
 *   message    = header properties
 *   header     = "libudev" NUL                       8 bytes
 *                magic 0xfeedcafe                    big-endian, as are the four words for filters
 *                header_size properties_off properties_len   in the machine's order
 *                subsystem_hash devtype_hash         MurmurHash2 of the values, 0 for none
 *                tag_bloom_hi tag_bloom_lo           four bits of 64 for each tag
 *   properties = *( KEY "=" VALUE NUL )              ACTION and DEVPATH among them, in any order
 *
 * The words for filters are for socket filters in the kernel. libudev attaches a BPF program that
 * compares them, so that a client that asked for one subsystem is not woken for others
 * (sd-device/device-monitor.c, sd_device_monitor_filter_update).
 */
import { endianness } from 'node:os';

/** The first 8 bytes of a message. */
export const PREFIX = Buffer.from('libudev\0');
/** The word that follows, in big-endian order. */
export const MAGIC = 0xfeedcafe;
/** The offsets of the header's words, in bytes. */
export const Header = {
  magic: 8,
  size: 12,
  propertiesOff: 16,
  propertiesLen: 20,
  subsystem: 24,
  devtype: 28,
  bloomHigh: 32,
  bloomLow: 36,
} as const;
/** The header's length. */
export const LIBUDEV_HEADER_BYTES = 40;
/** Whether the machine is little-endian. */
export const IS_LITTLE = endianness() === 'LE';
