/** The terminal that a command prints on: its size, its characters, its colors. */
import picocolors from 'picocolors';
import { codeOf, printable, textOf } from './output.js';

/** The width of a terminal that does not say its size. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** The functions that color a text. */
export type Colors = ReturnType<typeof picocolors.createColors>;

/** The place that a command prints to. */
export interface Screen {
  readonly isTerminal: boolean;
  /** The width of a line; Infinity if it is no terminal. */
  readonly columns: number;
  /** The number of lines; Infinity if it is no terminal. */
  readonly rows: number;
  /** Whether the terminal shows UTF-8. Output that is no terminal is UTF-8. */
  readonly isUtf8: boolean;
  readonly colors: Colors;
}

/** The descriptor of a terminal, as process.stdout is one. */
interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/**
 * Describes the standard output.
 *
 * @param stream the standard output
 * @param env the environment: TERM, NO_COLOR, FORCE_COLOR and the locale
 */
export function screenOf(
  stream: Terminal = process.stdout,
  env: NodeJS.ProcessEnv = process.env,
): Screen {
  const isTerminal = stream.isTTY === true;
  return {
    isTerminal,
    columns: isTerminal ? stream.columns || DEFAULT_COLUMNS : Infinity,
    rows: isTerminal ? stream.rows || DEFAULT_ROWS : Infinity,
    isUtf8: !isTerminal || /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || ''),
    colors: picocolors.createColors(hasColors(isTerminal, env)),
  };
}

/**
 * Tells whether to color the output: on a terminal that has colors, or if FORCE_COLOR is set.
 * picocolors alone would color it wherever CI is set.
 */
export function hasColors(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  return !env.NO_COLOR && (Boolean(env.FORCE_COLOR) || (isTerminal && env.TERM !== 'dumb'));
}

/** Tells whether a terminal can move its cursor, by ANSI's sequences. */
export function movesCursor(screen: Screen, env: NodeJS.ProcessEnv = process.env): boolean {
  return screen.isTerminal && env.TERM !== undefined && env.TERM !== '' && env.TERM !== 'dumb';
}

// eslint-disable-next-line no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/gu;

/**
 * Returns a name or a command as the screen can show it: control characters are escaped, and other
 * than ASCII characters too where the screen has no UTF-8.
 *
 * @param bytes one character for each byte
 */
export function shown(bytes: string, screen: Screen): string {
  const text = printable(textOf(bytes)).replaceAll('\t', '\\x09');
  return screen.isUtf8 ? text : text.replace(NOT_ASCII, codeOf);
}
