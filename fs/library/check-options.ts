/** Checks the options of the library's calls: a program in JavaScript has no compiler for that. */
import { checkSignal } from './abort.js';
import { EventfsError } from './errors.js';

/**
 * Checks that the options are an object with known names.
 *
 * @param call the function's name, for the message
 * @param names the names that it has
 * @throws EventfsError `BAD_OPTION`
 */
export function checkOptions(call: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new EventfsError(
      'BAD_OPTION',
      `options: they are not an object (use those of ${call}, as in { mount: '/dev/events' })`,
    );
  for (const name of Object.keys(options))
    if (!names.includes(name))
      throw new EventfsError(
        'BAD_OPTION',
        `${name}: ${call} has no such option (see ${call[0].toUpperCase()}${call.slice(1)}Options)`,
      );
  if ('signal' in options) checkSignal(options.signal);
}
