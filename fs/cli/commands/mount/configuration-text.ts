/** The text of a configuration file. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { UsageError, UserError, isSystemError } from '../../../shared/errors.js';
import { FILE_HINTS } from '../../terminal/explain.js';

/** The most bytes of a file: more than a person writes by hand. */
const MOST_BYTES = 1024 * 1024;

/** A file that can be read only once. */
export class NoRegularFile extends UsageError {}

/** How to read a configuration file. */
interface Reading {
  /** Whether the file may be missing. */
  readonly isOptional: boolean;
  /** Whether a pipe or a device is refused: such a file was read before. */
  readonly mustBeRegular: boolean;
}

/**
 * Reads the text of a configuration file.
 *
 * @returns null if the file does not exist and is not required
 * @throws NoRegularFile for a pipe or a device that must not be one
 * @throws UserError if the file can't be read, UsageError if it is no text
 */
export function configurationText(
  file: string,
  { isOptional, mustBeRegular }: Reading,
): string | null {
  const hints = mustBeRegular ? {} : FILE_HINTS; // a later reading has hints of its own
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if (isOptional && isSystemError(error, 'ENOENT')) return null;
    // setpriv(1) keeps HOME, which then belongs to another user
    if (isOptional && isSystemError(error, 'EACCES') && process.geteuid?.() !== 0) return null;
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, file, hints);
  }
  try {
    // A pipe, as of the shell's <(...), can't be read twice: it is empty, or its writer makes the
    // daemon wait.
    if (mustBeRegular && !fstatSync(fd).isFile())
      throw new NoRegularFile(`${file}: only a regular file can be read again`);
    return new TextDecoder('utf-8', { fatal: true }).decode(readAll(fd, file));
  } catch (error) {
    if (error instanceof TypeError)
      throw new UsageError(`${file}: it is not UTF-8 (save it as UTF-8)`);
    throw isSystemError(error) ? UserError.from(error, file, hints) : error;
  } finally {
    closeSync(fd);
  }
}

function readAll(fd: number, file: string): Buffer {
  const bytes = Buffer.alloc(MOST_BYTES + 1);
  let length = 0;
  for (let got = -1; got !== 0 && length < bytes.length; length += got)
    got = readSync(fd, bytes, length, bytes.length - length, null);
  if (length > MOST_BYTES)
    throw new UsageError(`${file}: a configuration has at most ${MOST_BYTES} bytes`);
  return bytes.subarray(0, length);
}
