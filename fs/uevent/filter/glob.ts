/**
 * Shell patterns as fnmatch(3) matches them without flags, in the C locale: `*` and `?` match `/`
 * and a leading dot too, `\` makes the next character literal, `[...]` is one character of a set.
 * There is one difference: a part between two stars is found in the first SEARCHED_BYTES of a value
 * only.
 *
 * The implementation is not a RegExp: any user may set a filter, and `*a*a*a*a*b` must not make the
 * daemon backtrack. A pattern is split at its stars into pieces of fixed length. The first piece
 * must be at the value's beginning and the last at its end. Each piece between them is matched at
 * the first place where it fits after the piece before. The first place leaves the most room for
 * the rest, so the matcher never goes back, and the work is at most the value's length times the
 * longest piece's. `literal`, `prefix*`, `*suffix` and `*` need no code of their own: their pieces
 * are plain strings, which V8 compares and searches for natively.
 *
 * Characters are bytes (latin1), as everywhere in uevent/ and bus/.
 */

/** A set of bytes as a bitmap: a string of 16 characters that hold 16 bits each. */
export type ByteSet = string;

/** One byte, as its code, or one byte of a set. */
export type Token = number | ByteSet;

/** A part between two stars: a string if it has no special characters, the usual case. */
export type Piece = string | Tokens;

/** The set of all bytes. */
export const ANY: ByteSet = '\uffff'.repeat(16);
const NO_PIECES: readonly Piece[] = [];

/**
 * How many bytes of a value are searched for a piece between two stars. A kernel event has at most
 * 2 KiB of text. Root can publish events of up to 64 KiB, for which a filter would cost 16 times as
 * much without this bound.
 */
export const SEARCHED_BYTES = 4 * 1024;

/*
 * The most that a match can cost, in units. A unit is 150 ns on the machine that the project is
 * measured on, so that a user's default of 32,768 units takes less than 5 ms. Measured there, with
 * worst-case values (`*aaaab*` in `aaaa...`):
 *
 *   comparing a text                       6 ns a byte           24 bytes a unit
 *   comparing tokens                       14 ns a token         10 tokens a unit
 *   searching 4 KiB for a text             44 to 50 us           350 units
 *     of more than 200 bytes               3.3 us a byte more    24 units a byte
 *   searching 4 KiB for up to 16 tokens    28 to 34 us           250 units
 *     for more                             40 us a token         280 units a token
 */
const COMPARED_BYTES = 24;
const COMPARED_TOKENS = 10;
const TEXT_SEARCH_COST = 350;
/**
 * The longest text that V8's Boyer-Moore search handles well. Of a longer text it looks at the end
 * only, and may compare all of it at each place.
 */
const SEARCHED_WELL_BYTES = 200;
const LONG_TEXT_COST = 24;
const MASKED_SEARCH_COST = 250;
const TOKEN_SEARCH_COST = 280;
/** How many pieces of a pattern cost one unit more. */
const PIECES = 4;

/** The most tokens of a piece that gets masks. */
const MOST_MASKED = 16;

/** A piece with special characters. */
export class Tokens {
  /**
   * By byte: the tokens that the byte fits, one bit a token. With the masks, a search takes a time
   * that does not depend on the piece's length (Baeza-Yates and Gonnet's shift-and). A string,
   * because its characters have 16 bits. Empty if the piece is not searched for or has too many
   * tokens.
   */
  masks = '';

  constructor(readonly list: readonly Token[]) {}

  get length(): number {
    return this.list.length;
  }

  /** Returns whether the piece fits at the offset `at`. */
  fitsAt(value: string, at: number): boolean {
    const { list } = this;
    for (let i = 0; i < list.length; i++) {
      const token = list[i];
      const byte = value.charCodeAt(at + i);
      if (typeof token === 'number' ? token !== byte : !contains(token, byte)) return false;
    }
    return true;
  }

  /** Makes the masks, for a piece between two stars. */
  prepare(): void {
    if (this.list.length > MOST_MASKED) return;
    MASKS.fill(0);
    for (const [i, token] of this.list.entries()) {
      if (typeof token === 'number') MASKS[token] |= 1 << i;
      else
        for (let word = 0; word < token.length; word++) {
          for (let bits = token.charCodeAt(word); bits !== 0; bits &= bits - 1)
            MASKS[word * 16 + lowestBit(bits)] |= 1 << i;
        }
    }
    this.masks = MASKS_BYTES.toString('utf16le');
  }

  /** Returns the first place from `from` where it fits and ends no later than `end`, or -1. */
  find(value: string, from: number, end: number): number {
    const { masks, length } = this;
    if (masks === '') {
      for (let place = from; place <= end - length; place++)
        if (this.fitsAt(value, place)) return place;
      return -1;
    }
    const whole = 1 << (length - 1);
    for (let at = from, fitting = 0; at < end; at++) {
      fitting = ((fitting << 1) | 1) & masks.charCodeAt(value.charCodeAt(at));
      if ((fitting & whole) !== 0) return at + 1 - length;
    }
    return -1;
  }
}

/** The buffer in which masks are made. */
const MASKS = new Uint16Array(256);
const MASKS_BYTES = Buffer.from(MASKS.buffer);

export function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

/** A compiled pattern, as plain data. `compileGlob` makes it (see glob-compiler.ts). */
export class Glob {
  /** The only value that matches, without escapes; null if the pattern has special characters. */
  readonly literal: string | null;
  private readonly pieces: readonly Piece[];

  /**
   * @param pattern the pattern's text
   * @param pieces the parts between the stars: one if there is no star, none if no value can match
   */
  constructor(
    readonly pattern: string,
    pieces: readonly Piece[],
  ) {
    const [only] = pieces;
    this.literal = pieces.length === 1 && typeof only === 'string' ? only : null;
    // Most patterns are literals: a list for each would be a quarter of a filter's memory. `slice`
    // drops the spare room of a list that has grown.
    this.pieces = this.literal === null ? pieces.slice() : NO_PIECES;
  }

  /** The most that `matches` can cost, in units, with any value. */
  get cost(): number {
    const { literal, pieces } = this;
    if (literal !== null) return 1 + comparisonCost(literal);
    let cost = 1 + Math.floor(pieces.length / PIECES);
    let search = 0;
    for (const [at, piece] of pieces.entries()) {
      if (at === 0 || at === pieces.length - 1) cost += comparisonCost(piece);
      // Each search begins where the last one ended, so all together search the value once.
      else search = Math.max(search, searchCost(piece));
    }
    return cost + search;
  }

  /** The most heap that the glob takes in bytes, not counting the text of its pattern. */
  get memory(): number {
    let memory = GLOB_BYTES;
    if (this.literal !== null && this.literal !== this.pattern) memory += textMemory(this.literal);
    for (const piece of this.pieces)
      memory +=
        POINTER_BYTES + (typeof piece === 'string' ? textMemory(piece) : tokensMemory(piece));
    return memory;
  }

  /**
   * Returns whether the value matches.
   * @param value latin1, one character a byte
   */
  matches(value: string): boolean {
    const { literal, pieces } = this;
    if (literal !== null) return literal === value;
    if (pieces.length === 0) return false;

    const first = pieces[0];
    if (pieces.length === 1) return value.length === first.length && fitsAt(first, value, 0);

    const last = pieces[pieces.length - 1];
    const end = value.length - last.length;
    let from = first.length;
    if (from > end || !fitsAt(first, value, 0) || !fitsAt(last, value, end)) return false;

    const searchEnd = Math.min(end, SEARCHED_BYTES);
    for (let i = 1; i < pieces.length - 1; i++) {
      const place = firstFit(pieces[i], value, from, searchEnd);
      if (place < 0) return false;
      from = place + pieces[i].length;
    }
    return true;
  }
}

/** The heap of a glob with its list of pieces. */
const GLOB_BYTES = 80;
const POINTER_BYTES = 8;
/** The heap of a piece's text, besides its characters. */
const TEXT_BYTES = 32;
/** A set is a string with a header and 16 characters of two bytes. */
const SET_BYTES = 48;
const TOKENS_BYTES = 100;

/** Returns the heap of a text in bytes. V8 shares the texts of one character. */
function textMemory(text: string): number {
  return text.length > 1 ? TEXT_BYTES + text.length : 0;
}

function tokensMemory({ list, masks }: Tokens): number {
  let memory = TOKENS_BYTES + 2 * masks.length;
  for (const token of list)
    memory += typeof token === 'number' || token === ANY ? 8 : 8 + SET_BYTES;
  return memory;
}

function fitsAt(piece: Piece, value: string, at: number): boolean {
  return typeof piece === 'string' ? value.startsWith(piece, at) : piece.fitsAt(value, at);
}

/** Returns the first place from `from` where the piece fits and ends no later than `end`, or -1. */
function firstFit(piece: Piece, value: string, from: number, end: number): number {
  if (typeof piece !== 'string') return piece.find(value, from, end);
  // indexOf alone would search the value to its end, which may be far behind `end`.
  return (end === value.length ? value : value.slice(0, end)).indexOf(piece, from);
}

function comparisonCost(piece: Piece): number {
  return Math.floor(piece.length / (typeof piece === 'string' ? COMPARED_BYTES : COMPARED_TOKENS));
}

function searchCost(piece: Piece): number {
  if (typeof piece === 'string')
    return TEXT_SEARCH_COST + LONG_TEXT_COST * Math.max(0, piece.length - SEARCHED_WELL_BYTES);
  return piece.masks !== '' ? MASKED_SEARCH_COST : TOKEN_SEARCH_COST * piece.length;
}

function contains(set: ByteSet, byte: number): boolean {
  return ((set.charCodeAt(byte >> 4) >> (byte & 15)) & 1) !== 0;
}
