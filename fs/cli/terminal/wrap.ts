/** Paragraphs. Apart from tables, so that the help loads no package for the width of characters. */

/**
 * Breaks a text at blanks into lines.
 *
 * @param width of a line; a longer word is a line of its own
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && longer.length > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
