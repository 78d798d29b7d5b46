/**
 * The events of a process directory, as files. A directory may hold other files, and other users
 * may put them there where its mode lets them. So commands open regular files only: they follow no
 * symlink and wait for no FIFO.
 */
import { closeSync, constants, fstatSync, openSync, opendirSync, readFileSync } from 'node:fs';
import { isSystemError } from '../shared/errors.js';

/**
 * @param directory its path
 * @param most how many names are wanted
 * @returns the first names of events, bytes as characters. They are oldest first, as readdir(3)
 *   gives them: fs.readdir would sort them.
 */
export function eventNames(directory: string, most = Infinity): string[] {
  const names: string[] = [];
  const opened = opendirSync(directory, { encoding: 'latin1' as BufferEncoding });
  try {
    for (
      let entry = opened.readSync();
      entry !== null && names.length < most;
      entry = opened.readSync()
    ) {
      if (entry.isFile()) names.push(entry.name);
    }
  } finally {
    opened.closeSync();
  }
  return names;
}

/**
 * @param directory its path
 * @param name bytes as characters
 * @returns the path of a file in it
 */
export function eventPath(directory: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name, 'latin1')]);
}

/**
 * @returns the event's text, bytes as characters; null where another kind of file has that name
 * @throws SystemError ENOENT where no file has that name, and others of open(2) and read(2)
 */
export function readEvent(path: Buffer): string | null {
  const fd = openUnfollowed(path, constants.O_NONBLOCK);
  if (fd === null) return null;
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd, 'latin1') : null;
  } finally {
    closeSync(fd);
  }
}

/**
 * @param flags of open(2), besides those for reading
 * @returns a descriptor; null where a symlink or a socket has that name
 * @throws SystemError ENOENT where no file has that name, and others of open(2)
 */
export function openUnfollowed(path: Buffer, flags = 0): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | flags);
  } catch (error) {
    if (isSystemError(error, 'ELOOP') || isSystemError(error, 'ENXIO')) return null;
    throw error;
  }
}
