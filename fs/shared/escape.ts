/**
 * Escapes text from users for a log. The name of a directory may contain line ends, terminal codes
 * and bytes that are not UTF-8. After escaping, no name can begin a line of its own.
 */

/** C0 and C1 controls, DEL, line separators, and characters that change the text's direction. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** All except printable ASCII, and the two characters with a meaning in a quoted name. */
const NOT_PLAIN = /[^\x20-\x7e]|["\\]/g;

/** Escapes control characters, as in `\x1b`, so that the text is one line. */
export function visible(text: string): string {
  return text.replace(CONTROL, escapeOf);
}

/**
 * Quotes a name in printable ASCII. A quotation mark or backslash gets a backslash before it, and
 * every other byte is written as in `\xff`. Two different names never look the same.
 *
 * @param bytes the name, one character for each byte
 * @returns the name, quotation marks included
 */
export function quoted(bytes: string): string {
  return `"${bytes.replace(NOT_PLAIN, (char) => (char === '"' || char === '\\' ? `\\${char}` : escapeOf(char)))}"`;
}

function escapeOf(char: string): string {
  const code = char.charCodeAt(0);
  return code > 0xff
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\x${code.toString(16).padStart(2, '0')}`;
}
