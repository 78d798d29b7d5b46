/**
 * Reads the events of a process directory as files. A directory may hold other files too, also
 * those of other users where its mode allows it. So commands open regular files only: they follow
 * no symlink and wait for no FIFO.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  opendirSync,
  readFileSync,
  unlinkSync,
} from 'node:fs';
import { readAttribute } from '#native';
import { SOURCE_ATTRIBUTE } from '../../uevent/event-source.js';
import { UserError, isSystemError } from '../../shared/errors.js';
import type { Filter } from '../../uevent/filter/filter.js';
import { type EventText, parseEvent, tellsOfLoss } from './text.js';

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
function readEvent(path: Buffer): string | null {
  const fd = openUnfollowed(path, constants.O_NONBLOCK);
  if (fd === null) return null;
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd, 'latin1') : null;
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads an event's file for a filter: with its source if the filter has the key SOURCE.
 *
 * @returns the event; null if the file is not a regular file
 * @throws SystemError as {@link readEvent}
 * @throws UserError if the filter has the key SOURCE and the daemon does not know it
 */
export function readEventFor(filter: Filter, path: Buffer): EventText | null {
  const text = readEvent(path);
  if (text === null) return null;
  return parseEvent(text, filter.hasKey('SOURCE') ? sourceOf(path) : undefined);
}

/**
 * Returns the source of an event's file, as the daemon knows it.
 *
 * @throws UserError if the daemon does not know it
 * @throws SystemError with other errnos of getxattr(2)
 */
export function sourceOf(path: Buffer): string {
  try {
    return readAttribute(path, SOURCE_ATTRIBUTE);
  } catch (error) {
    if (!isSystemError(error, 'ENODATA')) throw error;
    throw UserError.from(error, `${path.toString()}: ${SOURCE_ATTRIBUTE}`, {
      ENODATA: 'the daemon has an older version: mount again',
    });
  }
}

/**
 * Removes the events of a process directory that its filter does not match: they came before the
 * filter was set.
 *
 * @param directory the directory's path
 * @param filter the filter that the directory has now
 * @throws SystemError with the errno of a system call on the directory or its files
 */
export function dropOthers(directory: string, filter: Filter): void {
  for (const name of eventNames(directory)) {
    const path = eventPath(directory, name);
    const event = readEventFor(filter, path);
    if (event !== null && !tellsOfLoss(event) && !filter.matches(event)) unlinkSync(path);
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
