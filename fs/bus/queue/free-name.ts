/** Names for events of which a queue has one with the same name already. */
import { clock } from '../../shared/clock.js';

/** How many numbered names are tried before random numbers. */
const MOST_NUMBERED = 8;

/** Names that are taken. */
interface Names {
  has(name: string): boolean;
}

/**
 * Finds a free name: `wanted`, or `wanted.1`, `wanted.2`, ... if it is taken. A user may have taken
 * thousands of these, so after MOST_NUMBERED tries the suffix is a random number.
 *
 * @param taken names that are taken
 * @param others further names that are taken
 */
export function freeName(wanted: string, taken: Names, others: Names | null = null): string {
  let name = wanted;
  for (let n = 1; taken.has(name) || others?.has(name) === true; n++)
    name = `${wanted}.${n <= MOST_NUMBERED ? n : Math.floor(clock.random() * 2 ** 48)}`;
  return name;
}
