/**
 * The state that outlives the process: one file, replaced as a whole, so that a reader finds the
 * old one or the new one.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { UserError, isSystemError } from '../../shared/errors.js';
import type { SavedSession } from '../protocol/own-session.js';
import { MOST_ENDED, isCount, isEnded, isMachine } from '../protocol/state.js';
import { readRegularFile } from './regular-file.js';
import { ReplacedFile } from './replaced-file.js';

const VERSION = 1;

/**
 * A place in the local events: the events up to the one with this name have numbers up to `seq`.
 */
export interface Place {
  readonly name: string;
  readonly seq: number;
}

/** The content of the file. */
export interface Saved extends SavedSession {
  readonly version: typeof VERSION;
  /** The random id of a machine that has none of its own. */
  readonly machine: string;
  readonly filter: string;
  readonly mount: string;
  /**
   * The identity of the mount that `place` belongs to: a later mount at its path has another one.
   */
  readonly identity: string;
  readonly place: Place | null;
}

/** The file in the state directory. */
export class SavedFile {
  /** Whether {@link load} has found another content than a bridge saves. */
  isDamaged = false;
  readonly path: string;
  readonly #file: ReplacedFile;

  /** @throws UserError if the directory can't be made */
  constructor(readonly directory: string) {
    this.path = `${directory}/bridge.json`;
    this.#file = new ReplacedFile(this.path, 0o600);
    try {
      makeDirectory(directory);
    } catch (error) {
      throw stateRefusal(error, directory);
    }
  }

  /** Reads the file. @returns null if there is none, or it is damaged */
  load(): Saved | null {
    try {
      const value: unknown = JSON.parse(readRegularFile(this.path).toString());
      if (isSaved(value)) return value;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return null;
      if (!(error instanceof SyntaxError)) throw stateRefusal(error, this.path);
    }
    this.isDamaged = true;
    return null;
  }

  /**
   * Writes the file without blocking, the last state after an earlier write.
   *
   * @throws UserError with the errno of a system call
   */
  async save(saved: Omit<Saved, 'version'>): Promise<void> {
    try {
      await this.#file.write(`${JSON.stringify({ version: VERSION, ...saved })}\n`);
    } catch (error) {
      throw stateRefusal(error, this.path);
    }
  }
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

function isSaved(value: unknown): value is Saved {
  if (typeof value !== 'object' || value === null) return false;
  const saved = value as Partial<Saved>;
  const { version, number, connection, acknowledged, next, machine, boot, place, ended } = saved;
  return (
    version === VERSION &&
    isCount(number, 1) &&
    isCount(connection, 0) &&
    isCount(acknowledged, 0) &&
    isCount(next, 1) &&
    isMachine(machine) &&
    // The name of a session is `<boot>-<number>`.
    isMachine(`${boot}-${number}`) &&
    [boot, saved.host, saved.filter, saved.mount, saved.identity].every(
      (each) => typeof each === 'string',
    ) &&
    isPlace(place) &&
    Array.isArray(ended) &&
    ended.length <= MOST_ENDED &&
    ended.every(isEnded)
  );
}

function isPlace(value: unknown): value is Place | null {
  if (typeof value !== 'object') return false;
  if (value === null) return true;
  const { name, seq } = value as Partial<Place>;
  return typeof name === 'string' && /^[\w.]{1,64}$/.test(name) && isCount(seq, 0);
}

/** Returns the error of a system call on the state, with what to do; any other error as it is. */
export function stateRefusal(error: unknown, path: string): unknown {
  if (!isSystemError(error)) return error;
  return UserError.from(error, path, {
    EACCES: 'let the user of the bridge write it, or use --state DIR',
    EEXIST: 'it is no directory: use --state DIR',
    ENOTDIR: 'use --state DIR',
    ENOENT: 'use --state DIR',
    EISDIR: 'remove it, or use --state DIR',
    ENOSPC: 'make room',
    EROFS: 'use --state DIR',
  });
}
