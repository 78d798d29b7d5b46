/** Parses numbers. A daemon that starts needs no other parsers, and so loads only this file. */
import { InvalidArgumentError } from 'commander';

/** Parses the number of a descriptor. */
export function parseDescriptor(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new InvalidArgumentError('Use a descriptor number, 1 or more.');
  return Number(text);
}

/**
 * Makes a parser of whole numbers.
 *
 * @param what what the message calls the number
 */
export function wholeNumber(
  least: number,
  most: number,
  what = 'a whole number',
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`Use ${what} from ${least} to ${most}.`);
    return value;
  };
}
