/** A configuration file's text as a document whose values know their lines, so that whoever refuses one can say where it stands. */
import { TomlError, parse } from 'smol-toml';
import { UsageError } from '../../shared/errors.js';
import { type Kind, Unfit, shown } from './kinds.js';

export type Path = readonly string[];
export type Table = Readonly<Record<string, unknown>>;

export class Document {
  readonly #lines: readonly string[];
  readonly root: Table;

  /** @param file what the complaints call it. Throws {@link UsageError} for what is not TOML. */
  constructor(
    readonly file: string,
    text: string,
  ) {
    this.#lines = text.split('\n');
    try {
      this.root = parse(text);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const [reason] = error.message.replace('Invalid TOML document: ', '').split('\n');
      throw new UsageError(`${file}:${error.line}: ${reason}`);
    }
  }

  /** The table at `path`, nothing where there is none, and nothing but the keys that `knows` says are known. */
  table(path: Path, knows: (key: string) => boolean, known: string): Table {
    const table = this.#at(path) ?? {};
    if (!isTable(table)) this.refuse(path, `${shown(table)} is not a table`);
    for (const key of Object.keys(table))
      if (!knows(key)) this.refuse([...path, key], `there is no such key (there is ${known})`);
    return table;
  }

  /** All values of the table at `path`, each of its kind. */
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

  value<T>(path: Path, value: unknown, kind: Kind<T>): T {
    try {
      return kind(value);
    } catch (error) {
      if (error instanceof Unfit) this.refuse(path, `${shown(value)} ${error.message}`);
      throw error;
    }
  }

  /** Throws, with the line. */
  refuse(path: Path, reason: string): never {
    const name = path.map((key) => (/^[\w-]+$/.test(key) ? key : shown(key))).join('.');
    throw new UsageError(`${this.file}:${this.#lineOf(path)}: ${name}: ${reason}`);
  }

  #at(path: Path): unknown {
    return valueAt(this.root, path);
  }

  /**
   * The line, from 1, in which the value at `path` begins: the first line that has the key in it and with which, or with some of
   * the lines behind it, the document so far is whole and has the value.
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
    // Its key is written with escapes.
    for (let end = 1; end <= Math.min(lines.length, MOST_LINES_A_VALUE); end++)
      if (this.#has(end, path)) return end;
    return lines.length;
  }

  #has(lines: number, path: Path): boolean {
    try {
      return valueAt(parse(this.#lines.slice(0, lines).join('\n')), path) !== undefined;
    } catch {
      return false; // in the midst of a value
    }
  }
}

/** How far a value's end is looked for. */
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
