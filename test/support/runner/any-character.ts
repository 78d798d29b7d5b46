/** Any character, for properties of text. */
import fc from 'fast-check';

/** The halves of surrogate pairs, which are no characters. */
const HALVES = { first: 0xd800, count: 0x800 };
const LAST = 0x10ffff;

/**
 * Any character but half a surrogate pair, as fast-check's unit `binary`. That one puts all 1.1
 * million characters into a map at first, which takes 0.7 s, and each later garbage collection
 * traces the map.
 */
export const anyCharacter: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: LAST - HALVES.count })
  .map(
    (n) => String.fromCodePoint(n < HALVES.first ? n : n + HALVES.count),
    (character) => {
      // fast-check asks about longer pieces of a text too, and takes an error as a no.
      if (typeof character !== 'string' || [...character].length !== 1)
        throw new TypeError('not one character');
      const point = character.codePointAt(0)!;
      return point < HALVES.first ? point : point - HALVES.count;
    },
  );
