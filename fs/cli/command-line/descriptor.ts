/** Parses a descriptor. A file of its own: a daemon that starts does not load the other parsers. */
import { InvalidArgumentError } from 'commander';

/** Parses the number of a descriptor. */
export function parseDescriptor(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new InvalidArgumentError('Use a descriptor number, 1 or more.');
  return Number(text);
}
