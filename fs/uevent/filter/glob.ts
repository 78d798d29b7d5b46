/**
 * Shell patterns as fnmatch(3) takes them with no flag set, in the C locale: `*` and `?` match `/` and a leading
 * dot too, `\` takes the next character as itself, `[...]` is one character of a set. One thing differs: what stands between
 * two stars is found in the first SEARCHED_BYTES of a value only.
 *
 * Not a RegExp: a filter comes from any user, and `*a*a*a*a*b` must not make a backtracking engine of the daemon.
 * A pattern is cut at its stars into pieces of fixed length. The first must stand at the beginning and the last at
 * the end; each piece between them is taken at the first place where it fits after the one before. The first place
 * leaves most room for the rest, so no choice is ever taken back, and the work is at most the value's length times
 * the longest piece's. `literal`, `prefix*`, `*suffix` and `*` need no code of their own: their pieces are plain
 * strings, which the engine compares and searches for natively.
 *
 * Characters are bytes (latin1), as everywhere in events/.
 */

/** A set of bytes as a bitmap: a string of 16 characters, of which each holds 16 bits. */
type ByteSet = string;

/** Ranges of bytes as a string of pairs, first and last of each: 'azAZ'. */
type Ranges = string;

/** One byte, by its code, or one byte of a set. */
type Token = number | ByteSet;

/** What stands between two stars: a string if nothing in it is special, which is the usual case. */
type Piece = string | Tokens;

const ANY: ByteSet = '\uffff'.repeat(16);
const NO_PIECES: readonly Piece[] = [];
const NONE: ByteSet = '\0'.repeat(16);

/**
 * A piece between two stars is searched for in the first so many bytes of a value only. A kernel event has at most 2 KiB
 * of text. Without this bound a filter would cost 16 times as much with the largest event, 64 KiB, that root can publish.
 */
export const SEARCHED_BYTES = 4 * 1024;

/*
 * What a match costs at most, in units. A unit is 150 ns on the machine that the project is measured on, so that the 32,768
 * units that a user has by default are less than 5 ms. Measured there, with values made for it (`*aaaab*` in `aaaa...`):
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
/** V8's Boyer-Moore search looks at the end of a longer text only, and may compare all of it at each place. */
const SEARCHED_WELL_BYTES = 200;
const LONG_TEXT_COST = 24;
const MASKED_SEARCH_COST = 250;
const TOKEN_SEARCH_COST = 280;
/** So many pieces of a pattern cost one unit more. */
const PIECES = 4;

/** The most tokens that masks are made for. */
const MOST_MASKED = 16;

class Tokens {
  /**
   * By byte: which tokens it fits, a bit a token. With it the piece is found in time that does not depend on its length
   * (Baeza-Yates and Gonnet's shift-and). A string, as its characters have 16 bits. Empty where it is not searched for.
   */
  masks = '';

  constructor(readonly list: readonly Token[]) {}

  get length(): number {
    return this.list.length;
  }

  fitsAt(value: string, at: number): boolean {
    const { list } = this;
    for (let i = 0; i < list.length; i++) {
      const token = list[i];
      const byte = value.charCodeAt(at + i);
      if (typeof token === 'number' ? token !== byte : !contains(token, byte)) return false;
    }
    return true;
  }

  /** It stands between two stars: it will be searched for. */
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

  /** The first place from `from` where it fits and ends no later than `end`, or -1. */
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

/** Where masks are made. */
const MASKS = new Uint16Array(256);
const MASKS_BYTES = Buffer.from(MASKS.buffer);

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

/** What isalpha(3) and its like say of the bytes in the C locale. */
const CLASSES: ReadonlyMap<string, Ranges> = new Map([
  ['alnum', '09AZaz'],
  ['alpha', 'AZaz'],
  ['blank', '\t\t  '],
  ['cntrl', '\x00\x1f\x7f\x7f'],
  ['digit', '09'],
  ['graph', '!~'],
  ['lower', 'az'],
  ['print', ' ~'],
  ['punct', '!/:@[`{~'],
  ['space', '\t\r  '],
  ['upper', 'AZ'],
  ['xdigit', '09AFaf'],
]);

/** A compiled pattern: plain data, made by `compileGlob`. */
export class Glob {
  /** The one value that matches, with its escapes resolved, or null if the pattern has anything special in it. */
  readonly literal: string | null;
  private readonly pieces: readonly Piece[];

  /**
   * @param pattern the text it was compiled from
   * @param pieces what stands between the stars: one piece if there is no star; none if nothing can match
   */
  constructor(
    readonly pattern: string,
    pieces: readonly Piece[],
  ) {
    const [only] = pieces;
    this.literal = pieces.length === 1 && typeof only === 'string' ? only : null;
    // Most patterns are literals: a list for each would be a quarter of what a filter takes. And a list that has grown has room.
    this.pieces = this.literal === null ? pieces.slice() : NO_PIECES;
  }

  /** What `matches` costs at most, in units, whatever the value. */
  get cost(): number {
    const { literal, pieces } = this;
    if (literal !== null) return 1 + comparisonCost(literal);
    let cost = 1 + Math.floor(pieces.length / PIECES);
    let search = 0;
    for (const [at, piece] of pieces.entries()) {
      if (at === 0 || at === pieces.length - 1) cost += comparisonCost(piece);
      // The pieces are searched for one behind the other, so that all together search the value once.
      else search = Math.max(search, searchCost(piece));
    }
    return cost + search;
  }

  /** How many bytes of heap it takes at most, its pattern's text not counted. */
  get memory(): number {
    let memory = GLOB_BYTES;
    if (this.literal !== null && this.literal !== this.pattern) memory += textMemory(this.literal);
    for (const piece of this.pieces)
      memory +=
        POINTER_BYTES + (typeof piece === 'string' ? textMemory(piece) : tokensMemory(piece));
    return memory;
  }

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

/** Never fails: what is malformed means what it means to fnmatch. */
export function compileGlob(pattern: string): Glob {
  if (!/[*?\\[]/.test(pattern)) return new Glob(pattern, [pattern]);
  const pieces: Piece[] = [];
  let tokens: Token[] = [];
  const unclosed = new Set<number>();
  let at = 0;
  while (at < pattern.length) {
    const char = pattern[at];
    if (char === '*') {
      // Empty pieces in the middle come from `**`, which is `*`.
      if (tokens.length > 0 || pieces.length === 0) pieces.push(pieceOf(tokens));
      tokens = [];
      at += 1;
    } else if (char === '?') {
      tokens.push(ANY);
      at += 1;
    } else if (char === '\\') {
      if (at + 1 === pattern.length) return new Glob(pattern, []); // nothing to escape: matches nothing
      tokens.push(pattern.charCodeAt(at + 1));
      at += 2;
    } else {
      const bracket = char === '[' ? readBracket(pattern, at, unclosed) : null;
      tokens.push(bracket?.token ?? char.charCodeAt(0)); // an unclosed `[` is itself
      at = bracket?.end ?? at + 1;
    }
  }
  pieces.push(pieceOf(tokens));
  for (let i = 1; i < pieces.length - 1; i++) {
    const piece = pieces[i];
    if (piece instanceof Tokens) piece.prepare();
  }
  return new Glob(pattern, pieces);
}

/** Not by `+=`, which makes a rope of a node a character. */
function pieceOf(tokens: readonly Token[]): Piece {
  if (tokens.some((token) => typeof token !== 'number')) return new Tokens(tokens.slice());
  return Buffer.from(tokens as number[]).toString('latin1');
}

/** Of a glob with its list of pieces, and of a piece's text. */
const GLOB_BYTES = 80;
const POINTER_BYTES = 8;
const TEXT_BYTES = 32;
/** A set is a string with a header and 16 characters of two bytes. */
const SET_BYTES = 48;
const TOKENS_BYTES = 100;

/** V8 has each text of one character once. */
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

/** The first place from `from` where the piece fits and ends no later than `end`, or -1. */
function firstFit(piece: Piece, value: string, from: number, end: number): number {
  if (typeof piece !== 'string') return piece.find(value, from, end);
  // indexOf would search the value to its end, however far that is.
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

/**
 * The bracket expression that opens at `open`, and where it ends; null if it is not closed. As glibc reads it:
 *
 *     bracket = "[" [ "!" | "^" ] item { item } "]"          the first item may be "]"
 *     item    = "[:" name ":]" | byte "-" byte | byte         a backward range is empty
 *     byte    = "[=" c "=]" | "[." c ".]" | "\" c | c         "-" first or last is itself
 *
 * A class of unknown name is where fnmatch gives up: what comes before it may match, what is left may not, negated
 * or not. (Of other malformed ones, such as `[b-` and `[.`, glibc says what depends on the value. Here they are
 * bytes, as POSIX has it.)
 *
 * @param unclosed places from which no `]` is found; a failure adds the places it went through, so that `[[[[...`
 *   takes linear time
 */
function readBracket(
  pattern: string,
  open: number,
  unclosed: Set<number>,
): { token: Token; end: number } | null {
  const members = MEMBERS.fill(0);
  const negated = pattern[open + 1] === '!' || pattern[open + 1] === '^';
  const start = open + (negated ? 2 : 1);
  const places: number[] = [];
  let at = start;
  let broken = false;

  while (at === start || pattern[at] !== ']') {
    if (at > start) places.push(at); // at the start a `]` is read otherwise
    if (at >= pattern.length || unclosed.has(at)) {
      for (const place of places) unclosed.add(place);
      return null;
    }

    const name = className(pattern, at);
    if (name !== null) {
      const set = CLASSES.get(name);
      if (set === undefined) broken = true;
      else if (!broken) addRanges(members, set);
      at += name.length + 4;
      continue;
    }

    const first = readByte(pattern, at);
    let last = first;
    if (
      pattern[first.end] === '-' &&
      first.end + 1 < pattern.length &&
      pattern[first.end + 1] !== ']'
    ) {
      last = readByte(pattern, first.end + 1);
    }
    if (!broken && first.code <= last.code) addRange(members, first.code, last.code);
    at = last.end;
  }

  return { token: broken && negated ? NONE : tokenOf(members, negated), end: at + 1 };
}

/** The name in `[:name:]`, or null if this is no class, and its `[` a byte like others. */
function className(pattern: string, at: number): string | null {
  if (!pattern.startsWith('[:', at)) return null;
  let end = at + 2;
  while (pattern[end] >= 'a' && pattern[end] <= 'z') end += 1;
  return pattern.startsWith(':]', end) ? pattern.slice(at + 2, end) : null;
}

/** One `byte` of a bracket, and where it ends. */
function readByte(pattern: string, at: number): { code: number; end: number } {
  // After a `\` at the very end comes NaN, but then the bracket is not closed, and this is not used.
  if (pattern[at] === '\\') return { code: pattern.charCodeAt(at + 1), end: at + 2 };
  const delimiter = pattern[at + 1];
  if (
    pattern[at] === '[' &&
    (delimiter === '=' || delimiter === '.') &&
    pattern.startsWith(delimiter + ']', at + 3)
  ) {
    return { code: pattern.charCodeAt(at + 2), end: at + 5 };
  }
  return { code: pattern.charCodeAt(at), end: at + 1 };
}

/** The bracket that is being read, as a bitmap of words of 16 bits. */
const MEMBERS = new Uint16Array(16);

function addRange(members: Uint16Array, first: number, last: number): void {
  for (let word = first >> 4; word <= last >> 4; word++) {
    const from = Math.max(first - word * 16, 0);
    const to = Math.min(last - word * 16, 15);
    members[word] |= (0xffff >> (15 - to)) & (0xffff << from);
  }
}

function addRanges(members: Uint16Array, set: Ranges): void {
  for (let i = 0; i < set.length; i += 2)
    addRange(members, set.charCodeAt(i), set.charCodeAt(i + 1));
}

/** The members, or all others where it is negated: the byte if it is one. */
function tokenOf(members: Uint16Array, negated: boolean): Token {
  let count = 0;
  let byte = 0;
  for (let word = 0; word < members.length; word++) {
    if (negated) members[word] ^= 0xffff;
    for (let bits = members[word]; bits !== 0; bits &= bits - 1) {
      count++;
      byte = word * 16 + lowestBit(bits);
    }
  }
  return count === 1 ? byte : String.fromCharCode(...members);
}
