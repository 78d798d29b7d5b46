/** The bytes of arguments: Node replaces those that are not UTF-8 by U+FFFD. */
import { readFileSync } from 'node:fs';

/** Node puts this in place of bytes that are not UTF-8. */
const REPLACEMENT = '\uFFFD';

/** Returns whether a command can use a path as it is; the parser's messages say why not. */
export function isPlainPath(path: string): boolean {
  return path !== '' && !path.includes(REPLACEMENT);
}

/**
 * Returns the bytes of an argument of this process's command line.
 *
 * @param typed an argument, or the value of one as in `--name=value`
 * @returns latin1, one character a byte
 */
export function argumentBytes(typed: string): string {
  const encoded = Buffer.from(typed, 'utf8').toString('latin1');
  if (!typed.includes(REPLACEMENT)) return encoded;
  const words = readFileSync('/proc/self/cmdline', 'latin1').split('\0');
  for (const word of words) {
    const text = Buffer.from(word, 'latin1').toString();
    if (text === typed) return word;
    if (text.startsWith('--') && text.slice(text.indexOf('=') + 1) === typed)
      return word.slice(word.indexOf('=') + 1);
  }
  return encoded;
}
