/** Tells of filters that are valid, and probably not what the user means. */
import type { Filter } from './filter.js';

/**
 * Returns a message for each key in lower case: uevents have their keys in upper case, and a key
 * that no event has matches the empty value only.
 */
export function filterAdvice(filter: Filter): readonly string[] {
  return [...new Set(filter.keys)]
    .filter((key) => /^[a-z]/.test(key))
    .map(
      (key) =>
        `the filter's key ${key} is in lower case, and keys of uevents are in upper case (did you mean ${key.toUpperCase()}?)`,
    );
}
