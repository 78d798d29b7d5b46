/** Parses a configuration file, and finds the lines of its values for error messages. */
import { createRequire } from 'node:module';
import { UsageError } from '../../shared/errors.js';
import { type Kind, Unfit, shown } from './kinds.js';

const require = createRequire(import.meta.url);

/** Loads the parser with the first file that is read: most daemons have none. */
function loadToml(): typeof import('smol-toml') {
  return require('smol-toml') as typeof import('smol-toml');
}

/** The keys that lead from the root to a value. */
type Path = readonly string[];
type Table = Readonly<Record<string, unknown>>;

/** A parsed TOML file. */
export class Document {
  readonly #lines: readonly string[];
  readonly root: Table;

  /**
   * @param file the file's name in error messages
   * @param text the file's text
   * @throws UsageError with the line, for text that is not TOML
   */
  constructor(
    readonly file: string,
    text: string,
  ) {
    this.#lines = text.split('\n');
    const toml = loadToml();
    try {
      this.root = toml.parse(text);
    } catch (error) {
      if (!(error instanceof toml.TomlError)) throw error;
      const [reason] = error.message.replace('Invalid TOML document: ', '').split('\n');
      throw new UsageError(`${file}:${error.line}: ${reason}`);
    }
  }

  /**
   * Returns the table at `path`; an empty one if there is none.
   *
   * @param knows tells whether the table may have a key
   * @param known the known keys, for the error message
   * @throws UsageError for an unknown key, or a value that is no table
   */
  table(path: Path, knows: (key: string) => boolean, known: string): Table {
    const table = this.#at(path) ?? {};
    if (!isTable(table)) this.refuse(path, `${shown(table)} is not a table`);
    for (const key of Object.keys(table))
      if (!knows(key))
        this.refuse([...path, key], `there is no such key (the known keys are ${known})`);
    return table;
  }

  /**
   * Returns all values of the table at `path`, each checked by its kind.
   *
   * @throws UsageError as {@link table} and {@link value}
   */
  values<T extends Readonly<Record<string, Kind<unknown>>>>(
    path: Path,
    kinds: T,
  ): { [K in keyof T]?: ReturnType<T[K]> } {
    const table = this.table(
      path,
      (key) => Object.hasOwn(kinds, key),
      Object.keys(kinds).join(', '),
    );
    const values = Object.entries(table).map(
      ([key, value]) => [key, this.value([...path, key], value, kinds[key])] as const,
    );
    return Object.fromEntries(values) as { [K in keyof T]?: ReturnType<T[K]> };
  }

  /**
   * Checks a value.
   *
   * @param path the value's place, for the error message
   * @throws UsageError if the value is not of the kind
   */
  value<T>(path: Path, value: unknown, kind: Kind<T>): T {
    try {
      return kind(value);
    } catch (error) {
      if (error instanceof Unfit) this.refuse(path, `${shown(value)} ${error.message}`);
      throw error;
    }
  }

  /**
   * Refuses the value at `path`.
   *
   * @throws UsageError with the file, the line and the reason; always
   */
  refuse(path: Path, reason: string): never {
    const name = path.map((key) => (/^[\w-]+$/.test(key) ? key : shown(key))).join('.');
    throw new UsageError(`${this.file}:${this.#lineOf(path)}: ${name}: ${reason}`);
  }

  #at(path: Path): unknown {
    return valueAt(this.root, path);
  }

  /**
   * Returns the line, from 1, in which the value at `path` begins. That is the first line that
   * contains the key and completes the value: the text up to this line, or up to one of the lines
   * that follow, parses and has the value.
   */
  #lineOf(path: Path): number {
    const key = path[path.length - 1];
    const lines = this.#lines;
    let begun = 0;
    for (let end = 1; end <= lines.length; end++) {
      const isCandidate = lines[end - 1].includes(key);
      if (isCandidate) begun = end;
      if (begun > 0 && (isCandidate || end - begun < MOST_LINES_A_VALUE) && this.#has(end, path))
        return begun;
    }
    if (begun > 0) return begun;
    // No line contains the key: the file writes it with escapes.
    for (let end = 1; end <= Math.min(lines.length, MOST_LINES_A_VALUE); end++)
      if (this.#has(end, path)) return end;
    return lines.length;
  }

  #has(lines: number, path: Path): boolean {
    try {
      return valueAt(loadToml().parse(this.#lines.slice(0, lines).join('\n')), path) !== undefined;
    } catch {
      return false; // the text ends inside a value
    }
  }
}

/** How many lines after a candidate to search for the value's end. */
const MOST_LINES_A_VALUE = 100;

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (table, key) => (isTable(table) && Object.hasOwn(table, key) ? table[key] : undefined),
    root,
  );
}

function isTable(value: unknown): value is Table {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}
