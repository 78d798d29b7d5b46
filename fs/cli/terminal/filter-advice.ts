/** Warns of filters that are valid and probably not what the user means. */
import { filterAdvice } from '../../uevent/filter/advice.js';
import type { Filter } from '../../uevent/filter/filter.js';
import { printError } from './output.js';

/**
 * Warns on standard error of keys in lower case.
 *
 * @param command the subcommand that takes the filter
 * @param say prints the message (default: on standard error)
 */
export function adviseOnFilter(
  command: string,
  filter: Filter,
  say = (message: string) => printError(`${command}: ${message}`),
): void {
  for (const advice of filterAdvice(filter)) say(advice);
}
