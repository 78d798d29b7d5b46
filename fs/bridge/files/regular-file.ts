/** Reads files that a user names: a FIFO or a terminal would block the bridge for ever. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { UserError } from '../../shared/errors.js';

/**
 * Reads a file.
 *
 * @param path a regular file
 * @throws SystemError if it can't be read
 * @throws UserError if it is no regular file
 */
export function readRegularFile(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    // A directory says EISDIR by itself.
    const stat = fstatSync(fd);
    if (!stat.isFile() && !stat.isDirectory())
      throw new UserError(`${path}: it is no regular file (put one there)`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
