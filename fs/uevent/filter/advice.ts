/** Tells of filters that are valid, and probably not what the user means. */
import type { Filter } from './filter.js';

/** Keys of udev's rules that match the parents of a device. */
const OF_PARENTS = new Set(['KERNELS', 'SUBSYSTEMS', 'DRIVERS']);

/**
 * Returns a message for each key that no event has, so that it matches the empty value only: one
 * in lower case, since uevents have their keys in upper case, or one for parents.
 */
export function filterAdvice(filter: Filter): readonly string[] {
  return [...new Set(filter.keys)].flatMap((key) => {
    if (/^[a-z]/.test(key))
      return [
        `the filter's key ${key} is in lower case, and keys of uevents are in upper case ` +
          `(did you mean ${key.toUpperCase()}?)`,
      ];
    if (OF_PARENTS.has(key))
      return [
        `the filter's key ${key} is for the parents of a device in rules of udev, and events do ` +
          'not have it (match what udev adds, as in ID_BUS==usb)',
      ];
    return [];
  });
}
