/**
 * The directories of one client that no other process changes: the model knows the result of each
 * call, so a call that was carried out twice, or not at all, shows.
 */
import { constants } from 'node:os';
import type { Call } from './lines.js';

const { EAGAIN, EEXIST, ENOENT, ENOTEMPTY } = constants.errno;

/** One name in a queue. */
interface Entry {
  name: string;
  readonly file: number;
}

/** The names and queues of one client. */
export class NamesModel {
  /** The queue of each directory, oldest first. */
  readonly #directories = new Map<string, Entry[]>();
  /** How many links each file had in removed directories: the daemon frees them in turns. */
  readonly #removed = new Map<number, number>();

  /** Applies a call. @returns the way in which its result is wrong, or null */
  apply(call: Call): string | null {
    const { operation, words, result } = call;
    const step = STEPS[operation];
    if (step === undefined) throw new Error(`line ${call.line}: '${operation}' is no operation`);
    return step.call(this, words, result);
  }

  /** Returns the entries of a path's directory, and the path's last part. */
  #at(path: string): [Entry[] | undefined, string] {
    const [directory, name] = path.split('/');
    return [this.#directories.get(directory), name];
  }

  #find(path: string): Entry | undefined {
    const [entries, name] = this.#at(path);
    return entries?.find((entry) => entry.name === name);
  }

  #links(file: number): number {
    let count = 0;
    for (const entries of this.#directories.values())
      for (const entry of entries) if (entry.file === file) count++;
    return count;
  }

  #remove(path: string): void {
    const [entries, name] = this.#at(path);
    entries!.splice(
      entries!.findIndex((entry) => entry.name === name),
      1,
    );
  }

  mkdir([name]: readonly string[], result: number): string | null {
    if (this.#directories.has(name)) return expect(result, -EEXIST);
    if (result === 0) this.#directories.set(name, []);
    return expect(result, 0);
  }

  /** A directory with events may refuse: it depends on the last listing. */
  rmdir([name]: readonly string[], result: number): string | null {
    const entries = this.#directories.get(name);
    if (entries === undefined) return expect(result, -ENOENT);
    if (entries.length > 0 && result === -ENOTEMPTY) return null;
    if (result === 0) {
      for (const { file } of entries) this.#removed.set(file, (this.#removed.get(file) ?? 0) + 1);
      this.#directories.delete(name);
    }
    return expect(result, 0);
  }

  open([path]: readonly string[], result: number): string | null {
    const [entries] = this.#at(path);
    return entries === undefined ? expect(result, -ENOENT) : succeeded(result);
  }

  create([path, file]: readonly string[], result: number): string | null {
    const [entries, name] = this.#at(path);
    if (entries === undefined) return expect(result, -ENOENT);
    if (this.#find(path) !== undefined) return expect(result, -EEXIST);
    if (result >= 0) entries.push({ name, file: Number(file) });
    return succeeded(result);
  }

  done(_words: readonly string[], result: number): string | null {
    return succeeded(result);
  }

  link([from, to]: readonly string[], result: number): string | null {
    const source = this.#find(from);
    const [entries, name] = this.#at(to);
    if (source === undefined || entries === undefined) return expect(result, -ENOENT);
    if (this.#find(to) !== undefined) return expect(result, -EEXIST);
    if (result === 0) entries.push({ name, file: source.file });
    return expect(result, 0);
  }

  /** Within a directory the event keeps its place; in another it goes to the end. */
  rename([from, to]: readonly string[], result: number): string | null {
    const source = this.#find(from);
    const [entries, name] = this.#at(to);
    if (source === undefined || entries === undefined) return expect(result, -ENOENT);
    if (result !== 0 || from === to) return expect(result, 0);
    if (this.#find(to) !== undefined) this.#remove(to);
    if (this.#at(from)[0] === entries) source.name = name;
    else {
      this.#remove(from);
      entries.push({ name, file: source.file });
    }
    return null;
  }

  unlink([path]: readonly string[], result: number): string | null {
    if (this.#find(path) === undefined) return expect(result, -ENOENT);
    if (result === 0) this.#remove(path);
    return expect(result, 0);
  }

  stat([path, links]: readonly string[], result: number): string | null {
    const entry = this.#find(path);
    if (entry === undefined) return expect(result, -ENOENT);
    const count = this.#links(entry.file);
    const most = count + (this.#removed.get(entry.file) ?? 0);
    if (result === 0 && (Number(links) < count || Number(links) > most))
      return `the link count must be ${count}`;
    return expect(result, 0);
  }

  get([path, file]: readonly string[], result: number): string | null {
    const entry = this.#find(path);
    if (entry === undefined) return expect(result, -ENOENT);
    if (result > 0 && Number(file) !== entry.file) return `it must be file ${entry.file}`;
    return succeeded(result);
  }

  readdir([name, list]: readonly string[], result: number): string | null {
    const entries = this.#directories.get(name);
    if (entries === undefined) return expect(result, -ENOENT);
    const names = entries.map((entry) => entry.name).join(',') || '-';
    if (result === 0 && list !== names) return `the names must be ${names}`;
    return expect(result, 0);
  }

  ready([name]: readonly string[], result: number): string | null {
    const entries = this.#directories.get(name);
    return expect(result, entries !== undefined && entries.length > 0 ? 1 : 0);
  }

  /** Takes all events off a queue. */
  take([name, list]: readonly string[], result: number): string | null {
    const entries = this.#directories.get(name) ?? [];
    if (entries.length === 0) return expect(result, -EAGAIN);
    const files = entries.map((entry) => entry.file).join(',');
    if (result > 0 && list !== files) return `the events must be ${files}`;
    if (result > 0) entries.splice(0);
    return succeeded(result);
  }
}

type Step = (this: NamesModel, words: readonly string[], result: number) => string | null;

const { prototype } = NamesModel;
/* eslint-disable @typescript-eslint/unbound-method -- `apply` binds them */
const STEPS: Readonly<Record<string, Step | undefined>> = {
  mkdir: prototype.mkdir,
  rmdir: prototype.rmdir,
  open: prototype.open,
  create: prototype.create,
  write: prototype.done,
  close: prototype.done,
  filter: prototype.done,
  link: prototype.link,
  rename: prototype.rename,
  unlink: prototype.unlink,
  stat: prototype.stat,
  get: prototype.get,
  readdir: prototype.readdir,
  ready: prototype.ready,
  take: prototype.take,
};
/* eslint-enable */

function expect(result: number, expected: number): string | null {
  return result === expected ? null : `the result must be ${expected}`;
}

function succeeded(result: number): string | null {
  return result >= 0 ? null : 'the call must succeed';
}
