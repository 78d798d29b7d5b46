/**
 * The state that outlives the process: one file, replaced as a whole, so that a reader finds the
 * old one or the new one.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError, isSystemError } from '../shared/errors.js';
import type { EndedSession } from './protocol/state.js';

const VERSION = 1;

/** A place in the local events: the events up to the one with this name have numbers up to `seq`. */
export interface Place {
  readonly name: string;
  readonly seq: number;
}

/** The content of the file. */
export interface Saved {
  readonly version: typeof VERSION;
  readonly host: string;
  /** The random id of a machine that has none of its own. */
  readonly machine: string;
  /** The part of the session's name before its number. */
  readonly boot: string;
  readonly number: number;
  /** The number of the last connection. */
  readonly connection: number;
  readonly filter: string;
  readonly mount: string;
  /** The daemon of the mount: places are of this one. */
  readonly daemon: string;
  /** The number of the last event that the broker has. */
  readonly acknowledged: number;
  readonly place: Place | null;
  readonly ended: readonly EndedSession[];
}

/** The file in the state directory. */
export class SavedFile {
  readonly #path: string;
  #isWriting = false;
  #next: Omit<Saved, 'version'> | null = null;
  #last = '';

  /** @throws UserError if the directory can't be made */
  constructor(readonly directory: string) {
    this.#path = `${directory}/bridge.json`;
    try {
      makeDirectory(directory);
    } catch (error) {
      throw refusal(error, directory);
    }
  }

  /** Reads the file. @returns null if there is none, or it is no such file */
  load(): Saved | null {
    try {
      const value = JSON.parse(readFileSync(this.#path, 'utf8')) as Saved;
      return isSaved(value) ? value : null;
    } catch (error) {
      if (error instanceof SyntaxError || isSystemError(error, 'ENOENT')) return null;
      throw refusal(error, this.#path);
    }
  }

  /**
   * Writes the file at once.
   *
   * @throws UserError with the errno of a system call
   */
  saveNow(saved: Omit<Saved, 'version'>): void {
    const temporary = `${this.#path}.new`;
    try {
      const fd = openSync(temporary, 'w', 0o600);
      writeSync(fd, textOf(saved));
      fsyncSync(fd);
      closeSync(fd);
      renameSync(temporary, this.#path);
    } catch (error) {
      throw refusal(error, this.#path);
    }
  }

  /**
   * Writes the file without blocking, the last state after an earlier write.
   *
   * @throws UserError with the errno of a system call
   */
  async save(saved: Omit<Saved, 'version'>): Promise<void> {
    this.#next = saved;
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      while (this.#next !== null) {
        const text = textOf(this.#next);
        this.#next = null;
        if (text === this.#last) continue;
        await replaceFile(this.#path, text, 0o600);
        this.#last = text;
      }
    } catch (error) {
      throw refusal(error, this.#path);
    } finally {
      this.#isWriting = false;
    }
  }
}

/**
 * Replaces a file as a whole, without blocking.
 *
 * @throws SystemError with the errno of a system call
 */
export async function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  const temporary = `${path}.${process.pid}.new`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/**
 * Makes a directory and the directories above it. The option `recursive` of Node's mkdirSync does
 * not return where the kernel refuses with ENOENT, as below /proc.
 */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if (isSystemError(error, 'EEXIST') && statSync(path).isDirectory()) return;
    const above = dirname(path);
    if (!isSystemError(error, 'ENOENT') || existsSync(above)) throw error;
    makeDirectory(above);
    mkdirSync(path, 0o700);
  }
}

function textOf(saved: Omit<Saved, 'version'>): string {
  return `${JSON.stringify({ version: VERSION, ...saved })}\n`;
}

function isSaved(value: Saved): boolean {
  return (
    value.version === VERSION &&
    [value.number, value.connection, value.acknowledged].every(Number.isSafeInteger) &&
    [value.host, value.machine, value.boot, value.filter, value.mount, value.daemon].every(
      (each) => typeof each === 'string',
    ) &&
    (value.place === null ||
      (typeof value.place.name === 'string' && Number.isSafeInteger(value.place.seq))) &&
    Array.isArray(value.ended)
  );
}

function refusal(error: unknown, path: string): unknown {
  if (!isSystemError(error)) return error;
  return UserError.from(error, path, {
    EACCES: 'let the user of the bridge write it, or use --state DIR',
    EEXIST: 'it is no directory: use --state DIR',
    ENOTDIR: 'use --state DIR',
    ENOENT: 'use --state DIR',
    ENOSPC: 'make room',
    EROFS: 'use --state DIR',
  });
}
