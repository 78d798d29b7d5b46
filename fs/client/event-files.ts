/**
 * Reads the events of a process directory as files. A directory may hold other files too, also
 * those of other users where its mode allows it. So commands open regular files only: they follow
 * no symlink and wait for no FIFO.
 */
import { closeSync, constants, fstatSync, openSync, opendirSync, readFileSync } from 'node:fs';
import { isSystemError } from '../shared/errors.js';

/**
 * Lists the events of a directory, oldest first: in the order of readdir(3). fs.readdir would sort
 * the names.
 *
 * @param directory the directory's path
 * @param most the most names to return
 * @returns the first names, one character for each byte
 * @throws SystemError with the errno of opendir(3) or readdir(3)
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
 * Joins a directory and the name of a file in it.
 *
 * @param directory the directory's path
 * @param name the file's name, one character for each byte
 * @returns the file's path
 */
export function eventPath(directory: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name, 'latin1')]);
}

/**
 * Reads an event's file.
 *
 * @returns the event's text, one character for each byte; null if the file is not a regular file
 * @throws SystemError ENOENT if there is no such file, and other errors of open(2) and read(2)
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
 * Opens a file for reading, without following a symlink.
 *
 * @param flags more flags of open(2)
 * @returns a descriptor; null if the file is a symlink or a socket
 * @throws SystemError ENOENT if there is no such file, and other errors of open(2)
 */
export function openUnfollowed(path: Buffer, flags = 0): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | flags);
  } catch (error) {
    if (isSystemError(error, 'ELOOP') || isSystemError(error, 'ENXIO')) return null;
    throw error;
  }
}
