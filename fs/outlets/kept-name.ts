/** The names of an outlet's descriptors in the keeper. */
import { createHash } from 'node:crypto';

/** How many hexadecimal digits of a hash tell the descriptors of one kind apart. */
const HASH_DIGITS = 12;

/**
 * Returns the name of a descriptor in the keeper. A path may be too long for one.
 *
 * @param kind what the descriptor is
 * @param path the file that it belongs to
 */
export function keptName(kind: string, path: string): string {
  return `${kind}-${createHash('sha256').update(path).digest('hex').slice(0, HASH_DIGITS)}`;
}
