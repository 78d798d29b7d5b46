/** Warns of filters that are valid and probably not what the user means. */
import type { Filter } from '../../uevent/filter/filter.js';
import { printError } from './output.js';

/**
 * Warns on standard error of keys in lower case: uevents have their keys in upper case, and a key
 * that no event has matches the empty value only.
 *
 * @param command the subcommand that takes the filter
 * @param say prints the message (default: on standard error)
 */
export function adviseOnFilter(
  command: string,
  filter: Filter,
  say = (message: string) => printError(`${command}: ${message}`),
): void {
  for (const key of new Set(filter.keys)) {
    if (!/^[a-z]/.test(key)) continue;
    say(
      `the filter's key ${key} is in lower case, and keys of uevents are in upper case (did you mean ${key.toUpperCase()}?)`,
    );
  }
}
