/** Events for filters to match, without a log. */
import { Filter, type Matchable } from '../../../fs/uevent/filter/filter.js';

/** Returns an event with these properties, ACTION and DEVPATH. */
export function event(
  action: string,
  devpath: string,
  properties: Readonly<Record<string, string>> = {},
): Matchable {
  const all = new Map(Object.entries({ ACTION: action, DEVPATH: devpath, ...properties }));
  return { action, devpath, property: (key) => all.get(key) };
}

/** A partition of a USB stick. */
export const stick = event('add', '/devices/pci0000:00/usb1/1-1/host6/block/sdb/sdb1', {
  SUBSYSTEM: 'block',
  DEVNAME: 'sdb1',
  DEVTYPE: 'partition',
  ID_MODEL: 'Flash Disk, 2;0 "pro"|x',
  'ID_PATH.1_x': 'dotted',
  TAGS: ':systemd:seat:',
});

/**
 * Returns every value of a key with which an event can match; null if they cannot be listed, or if
 * a match needs no value of the key.
 */
export function valuesOf(key: string, text: string): readonly string[] | null {
  const values = new Set<string>();
  for (const ways of Filter.parse(text).ways()) {
    const way = ways.find((each) => each.key === key);
    if (way === undefined) return null;
    for (const value of way.values) values.add(value);
  }
  return [...values];
}
