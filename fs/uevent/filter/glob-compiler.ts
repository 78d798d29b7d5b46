/** Compiles shell patterns (see glob.ts). */
import { ANY, type ByteSet, Glob, type Piece, type Token, Tokens, lowestBit } from './glob.js';

/** Ranges of bytes as pairs of characters, the first and the last of each range: 'azAZ'. */
type Ranges = string;

const NONE: ByteSet = '\0'.repeat(16);

/** The bytes of each character class, as isalpha(3) and its like test them in the C locale. */
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

/**
 * Compiles a pattern. Never throws: a malformed pattern means the same as for fnmatch(3).
 * @param pattern latin1, one character a byte
 */
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
      if (at + 1 === pattern.length) return new Glob(pattern, []); // nothing to escape: no match
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

/** Makes a piece. A string built by `+=` would be a rope with a node for each character. */
function pieceOf(tokens: readonly Token[]): Piece {
  if (tokens.some((token) => typeof token !== 'number')) return new Tokens(tokens.slice());
  return Buffer.from(tokens as number[]).toString('latin1');
}

/**
 * Reads a bracket expression. glibc's syntax:
 *
 *     bracket = "[" [ "!" | "^" ] item { item } "]"          the first item may be "]"
 *     item    = "[:" name ":]" | byte "-" byte | byte         a backward range is empty
 *     byte    = "[=" c "=]" | "[." c ".]" | "\" c | c         "-" first or last is itself
 *
 * At a class of unknown name fnmatch(3) gives up: the items before it may match, the items after it
 * do not, and a negated expression matches nothing. (For other malformed expressions, such as `[b-`
 * and `[.`, glibc's result depends on the value. Here they are plain bytes, as POSIX says.)
 *
 * @param pattern the whole pattern
 * @param open the offset of the `[`
 * @param unclosed offsets from which no `]` is found. A failure adds the offsets that it has
 *   passed, so that `[[[[...` takes linear time.
 * @returns the token and the offset behind it, or null if the bracket is not closed
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
    if (at > start) places.push(at); // at the start a `]` has another meaning: an item
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

/** Returns the name in `[:name:]`, or null if this is no class: then its `[` is a plain byte. */
function className(pattern: string, at: number): string | null {
  if (!pattern.startsWith('[:', at)) return null;
  let end = at + 2;
  while (pattern[end] >= 'a' && pattern[end] <= 'z') end += 1;
  return pattern.startsWith(':]', end) ? pattern.slice(at + 2, end) : null;
}

/** Reads one `byte` of a bracket, and returns its code and the offset behind it. */
function readByte(pattern: string, at: number): { code: number; end: number } {
  // A `\` at the very end yields NaN, but then the bracket is not closed, and the result is unused.
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

/** The bitmap of the bracket that is being read, in words of 16 bits. */
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

/**
 * Returns the token for the members, or for all other bytes if negated: a code if it is only one
 * byte, else a set.
 */
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
