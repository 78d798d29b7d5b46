/** The help's form: as wide as the terminal, and readable on a narrow one. */
import { type Command, Help } from 'commander';
import { wrap } from '../terminal/wrap.js';

/** The width of a pipe or a file, or of a terminal that does not say its size. */
const DEFAULT_COLUMNS = 80;
const ITEM_INDENT = 2;
const TEXT_INDENT = 6;
/** Descriptions with less room beside their terms stand below them. */
const LEAST_BESIDE = 36;
/** Lines shorter than this are not worth a break. */
const LEAST_COLUMNS = 10;

/** Returns the width of the help. */
export function helpColumns(stream: { readonly columns?: number } = process.stdout): number {
  return Math.max(stream.columns || DEFAULT_COLUMNS, LEAST_COLUMNS);
}

/** The changes of commander's help: see `configureHelp`. */
export const HELP: Partial<Help> = {
  minWidthToWrap: LEAST_COLUMNS,
  formatItem(this: Help, term: string, termWidth: number, text: string, helper: Help): string {
    const columns = this.helpWidth ?? DEFAULT_COLUMNS;
    const beside = columns - termWidth - 2 * ITEM_INDENT;
    if (text === '' || beside >= LEAST_BESIDE)
      return Help.prototype.formatItem.call(this, term, termWidth, text, helper);
    return [
      ...hanging(term, columns, ITEM_INDENT, TEXT_INDENT),
      ...hanging(text, columns, TEXT_INDENT, TEXT_INDENT),
    ].join('\n');
  },
  formatHelp(this: Help, command: Command, helper: Help): string {
    const [usage, ...rest] = Help.prototype.formatHelp.call(this, command, helper).split('\n');
    return [...hanging(usage, this.helpWidth ?? DEFAULT_COLUMNS, 0, TEXT_INDENT), ...rest].join(
      '\n',
    );
  },
};

/** Breaks a text into lines, with an indent of the first one and of the others. */
function hanging(text: string, columns: number, first: number, others: number): string[] {
  return wrap(text, columns - Math.max(first, others)).map(
    (line, at) => ' '.repeat(at === 0 ? first : others) + line,
  );
}

/** Formats a paragraph below the help. */
export function note(text: string, columns = helpColumns()): string {
  return `\n${wrap(text, columns).join('\n')}`;
}

/**
 * Formats the example below the help of a command. If it is too wide, a backslash breaks it where
 * the shell allows that: it can still be copied.
 */
export function example(commands: readonly string[], columns = helpColumns()): string {
  const lines = commands.flatMap((command) => {
    if (command.length + ITEM_INDENT <= columns) return [' '.repeat(ITEM_INDENT) + command];
    const parts = brokenAtBlanks(command, columns - TEXT_INDENT - ' \\'.length);
    return parts.map((part, at) => {
      const indent = ' '.repeat(at === 0 ? ITEM_INDENT : TEXT_INDENT);
      return `${indent}${part}${at < parts.length - 1 ? ' \\' : ''}`;
    });
  });
  return `\nExample:\n${lines.join('\n')}`;
}

/** Breaks a command between its words; a quoted word is whole. */
function brokenAtBlanks(command: string, width: number): string[] {
  const parts: string[] = [];
  for (const word of command.match(/(?:'[^']*'|"[^"]*"|\S)+/g) ?? []) {
    const last = parts.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      parts[parts.length - 1] = `${last} ${word}`;
    else parts.push(word);
  }
  return parts;
}
