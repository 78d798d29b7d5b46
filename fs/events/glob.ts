/**
 * Shell patterns as fnmatch(3) takes them with no flag set, in the C locale: `*` and `?` match `/` and a leading
 * dot too, `\` takes the next character as itself, `[...]` is one character of a set.
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

/** A set of bytes as a string of pairs, first and last of each range: 'azAZ'. No longer than 256 characters. */
type ByteSet = string;

/** One byte, by its code, or one byte of a set. */
type Token = number | ByteSet;

/** What stands between two stars: a string if nothing in it is special, which is the usual case. */
type Piece = string | readonly Token[];

const ANY: ByteSet = '\x00\xff';

/** What isalpha(3) and its like say of the bytes in the C locale. */
const CLASSES: ReadonlyMap<string, ByteSet> = new Map([
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
  /**
   * @param pattern the text it was compiled from
   * @param pieces what stands between the stars: one piece if there is no star; none if nothing can match
   */
  constructor(
    readonly pattern: string,
    private readonly pieces: readonly Piece[],
  ) {}

  /** The one value that matches, with its escapes resolved, or null if the pattern has anything special in it. */
  get literal(): string | null {
    const [only] = this.pieces;
    return this.pieces.length === 1 && typeof only === 'string' ? only : null;
  }

  matches(value: string): boolean {
    const { pieces } = this;
    if (pieces.length === 0) return false;

    const first = pieces[0];
    if (pieces.length === 1) return value.length === first.length && fitsAt(first, value, 0);

    const last = pieces[pieces.length - 1];
    const end = value.length - last.length;
    let from = first.length;
    if (from > end || !fitsAt(first, value, 0) || !fitsAt(last, value, end)) return false;

    for (let i = 1; i < pieces.length - 1; i++) {
      const place = firstFit(pieces[i], value, from, end);
      if (place < 0) return false;
      from = place + pieces[i].length;
    }
    return true;
  }
}

/** Never fails: what is malformed means what it means to fnmatch. */
export function compileGlob(pattern: string): Glob {
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
  return new Glob(pattern, pieces);
}

function pieceOf(tokens: readonly Token[]): Piece {
  let text = '';
  for (const token of tokens) {
    if (typeof token !== 'number') return tokens;
    text += String.fromCharCode(token);
  }
  return text;
}

function fitsAt(piece: Piece, value: string, at: number): boolean {
  if (typeof piece === 'string') return value.startsWith(piece, at);
  for (let i = 0; i < piece.length; i++) {
    const token = piece[i];
    const byte = value.charCodeAt(at + i);
    if (typeof token === 'number' ? token !== byte : !contains(token, byte)) return false;
  }
  return true;
}

/** The first place from `from` where the piece fits and ends no later than `end`, or -1. */
function firstFit(piece: Piece, value: string, from: number, end: number): number {
  const lastPlace = end - piece.length;
  if (typeof piece === 'string') {
    const place = value.indexOf(piece, from);
    return place <= lastPlace ? place : -1;
  }
  for (let place = from; place <= lastPlace; place++) {
    if (fitsAt(piece, value, place)) return place;
  }
  return -1;
}

function contains(set: ByteSet, byte: number): boolean {
  for (let i = 0; i < set.length; i += 2) {
    if (byte >= set.charCodeAt(i) && byte <= set.charCodeAt(i + 1)) return true;
  }
  return false;
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
function readBracket(pattern: string, open: number, unclosed: Set<number>): { token: Token; end: number } | null {
  const members = new Uint8Array(256);
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
    if (pattern[first.end] === '-' && first.end + 1 < pattern.length && pattern[first.end + 1] !== ']') {
      last = readByte(pattern, first.end + 1);
    }
    if (!broken && first.code <= last.code) members.fill(1, first.code, last.code + 1);
    at = last.end;
  }

  const set = broken && negated ? '' : rangesOf(members, negated ? 0 : 1);
  return { token: set.length === 2 && set[0] === set[1] ? set.charCodeAt(0) : set, end: at + 1 };
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
  if (pattern[at] === '[' && (delimiter === '=' || delimiter === '.') && pattern.startsWith(delimiter + ']', at + 3)) {
    return { code: pattern.charCodeAt(at + 2), end: at + 5 };
  }
  return { code: pattern.charCodeAt(at), end: at + 1 };
}

function addRanges(members: Uint8Array, set: ByteSet): void {
  for (let i = 0; i < set.length; i += 2) members.fill(1, set.charCodeAt(i), set.charCodeAt(i + 1) + 1);
}

function rangesOf(members: Uint8Array, wanted: 0 | 1): ByteSet {
  let set = '';
  for (let code = 0; code < 256; code++) {
    if (members[code] !== wanted) continue;
    const first = code;
    while (code < 255 && members[code + 1] === wanted) code++;
    set += String.fromCharCode(first, code);
  }
  return set;
}
