/**
 * Checksums of the state. Each step is a one-to-one mapping of the sum so far, so a change of one
 * word, and so of one bit, always changes the sum.
 */

const START = 0x2545f491;
const FACTOR = 0x9e3779b1;

/** Returns the sum with one more word. */
function mixed(sum: number, word: number): number {
  const product = Math.imul(sum ^ word, FACTOR);
  return product ^ (product >>> 15);
}

/**
 * Returns the checksum of a record. Its second word has that sum, and counts as 0. Nothing is
 * written: a daemon that reads the records of another one may be killed at any instruction.
 */
export function checksumRecord(words: Uint32Array, start: number, end: number): number {
  return checksumWords(words, start + 2, end, mixed(mixed(START, words[start]), 0));
}

/**
 * Returns the checksum of `words` from `start` up to but not including `end`.
 * @param before the checksum of the words before them
 */
export function checksumWords(
  words: Uint32Array,
  start: number,
  end: number,
  before = START,
): number {
  let sum = before;
  for (let at = start; at < end; at++) sum = mixed(sum, words[at]);
  return sum >>> 0;
}

/**
 * Returns the checksum of bytes at any offset.
 * @param view the memory
 * @param start in bytes
 * @param length in bytes
 */
export function checksumBytes(view: DataView, start: number, length: number): number {
  let sum = START ^ length;
  const whole = start + (length & ~3);
  for (let at = start; at < whole; at += 4) sum = mixed(sum, view.getUint32(at, true));
  for (let at = whole; at < start + length; at++) sum = Math.imul(sum ^ view.getUint8(at), FACTOR);
  return sum >>> 0;
}

/** The values of a checked number are below this. */
const CHECKED_LIMIT = 2 ** 36;
const CHECK_BITS = 2 ** 16;

function checkOf(value: number): number {
  let sum = Math.imul((value % 2 ** 32) ^ START, FACTOR) ^ Math.floor(value / 2 ** 32);
  sum = Math.imul(sum ^ (sum >>> 15), FACTOR);
  return (sum ^ (sum >>> 16)) & (CHECK_BITS - 1);
}

/** Returns a number together with its check, to be stored in one step. */
export function checked(value: number): number {
  return value * CHECK_BITS + checkOf(value);
}

/** Returns the number that `checked` has encoded; -1 if it is damaged. */
export function uncheck(stored: number): number {
  const value = Math.floor(stored / CHECK_BITS);
  const isRight =
    value >= 0 &&
    value < CHECKED_LIMIT &&
    Number.isSafeInteger(stored) &&
    checked(value) === stored;
  return isRight ? value : -1;
}
