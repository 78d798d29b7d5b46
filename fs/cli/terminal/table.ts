/**
 * Tables and paragraphs of plain text, as wide as the screen. Columns have blanks between them and
 * no lines: these can be copied, searched, and read in any font and by a screen reader.
 */
import stringWidth from 'string-width';
import type { Screen } from './screen.js';
import { wrap } from './wrap.js';

/** A column of a table. */
export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
  /** The fewest characters that a text may shrink to. A column without it never shrinks. */
  readonly least?: number;
  /** A narrow screen leaves out the column with the highest number first; 0 always stays. */
  readonly rank: number;
}

const GAP = 2;
const NARROW_GAP = 1;
/** Below this width there is one blank between columns. */
const NARROW = 40;

/** Cuts a text to a width, and marks the place. */
export function cut(text: string, width: number, isUtf8: boolean): string {
  if (stringWidth(text) <= width) return text;
  const mark = isUtf8 ? '\u2026' : '~';
  let kept = '';
  let used = stringWidth(mark);
  for (const char of text) {
    used += stringWidth(char);
    if (used > width) break;
    kept += char;
  }
  return width < 1 ? '' : kept + mark;
}

/**
 * Formats a table. If it is too wide, its texts shrink first, the last column before the others;
 * then columns are left out.
 *
 * @param rows the cells, without control characters
 * @param paint colors a whole line; the first is the title, number -1
 * @returns the lines, at most as wide as the screen
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  screen: Screen,
  paint: (line: string, row: number) => string = (line) => line,
): string[] {
  const all = [columns.map(({ title }) => title), ...rows];
  const natural = columns.map((_, at) => Math.max(...all.map((row) => stringWidth(row[at]))));
  const gap = screen.columns < NARROW ? NARROW_GAP : GAP;
  const widths = fit(columns, natural, screen.columns, gap);
  return all.map((row, at) => {
    const cells = columns.flatMap(({ isNumber = false }, index) => {
      const width = widths[index];
      if (width === 0) return [];
      const cell = cut(row[index], width, screen.isUtf8);
      const pad = ' '.repeat(width - stringWidth(cell));
      return [isNumber ? pad + cell : cell + pad];
    });
    const line = cells.join(' '.repeat(gap)).trimEnd();
    return paint(cut(line, screen.columns, screen.isUtf8), at - 1);
  });
}

/** Returns the width of each column; 0 for one that is left out. */
function fit(
  columns: readonly Column[],
  natural: readonly number[],
  room: number,
  gap: number,
): number[] {
  const widths = [...natural];
  const excess = (): number => {
    const kept = widths.filter((width) => width > 0);
    return kept.reduce((sum, width) => sum + width, gap * (kept.length - 1)) - room;
  };
  const shrink = (): void => {
    for (let at = columns.length - 1; at >= 0 && excess() > 0; at--) {
      const { least } = columns[at];
      if (least !== undefined && widths[at] > least)
        widths[at] = Math.max(least, widths[at] - excess());
    }
  };
  for (shrink(); excess() > 0; shrink()) {
    const last = columns.reduce(
      (most, { rank }, at) => (widths[at] > 0 && rank > (columns[most]?.rank ?? 0) ? at : most),
      -1,
    );
    if (last < 0) break; // only columns that always stay are left: the line is cut
    widths.forEach((width, at) => {
      if (width > 0) widths[at] = natural[at]; // the others have its room
    });
    widths[last] = 0;
  }
  return widths;
}

/** The width of the labels of {@link labelled}. */
const LABEL = 11;

/** Formats a label and a text behind it; on a narrow screen the text has lines of its own. */
export function labelled(label: string, text: string, screen: Screen): string[] {
  if (screen.columns < NARROW)
    return [label, ...wrap(text, screen.columns - 1).map((line) => ` ${line}`)].filter(Boolean);
  return wrap(text, screen.columns - LABEL).map(
    (line, at) => `${(at === 0 ? label : '').padEnd(LABEL)}${line}`,
  );
}
