/**
 * Text that a user has chosen, made fit for a log: the name of a directory may hold line ends, terminal codes and
 * bytes that are not UTF-8. After this no name can begin a line of its own.
 */

/** C0 and C1 controls, DEL, and the two line ends of Unicode. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;
/** What is not printable ASCII, and what ends or begins an escape. */
const NOT_PLAIN = /[^\x20-\x7e]|["\\]/g;

/** The text in one line: control characters are written as in `\x1b`. */
export function visible(text: string): string {
  return text.replace(CONTROL, escapeOf);
}

/**
 * A name between quotation marks, printable ASCII only: quotation mark and backslash with a backslash before them, every
 * other byte as in `\xff`. Two different names never look the same.
 *
 * @param bytes a name, each byte a character
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
