/** Makes a process directory for this process. It ends with the process: no code removes it. */
import { closeSync, constants, mkdirSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { UserError, isSystemError } from '../shared/errors.js';
import type { Filter } from '../uevent/filter/filter.js';

/** Hints for a directory that the daemon refuses, by errno name. */
export const MKDIR_HINTS = {
  EACCES: 'you may not make a directory in this mount',
  EDQUOT: 'a quota is used up: eventfs doctor names it',
  ENFILE: 'the daemon is at its limit of open files: eventfs doctor says how to raise it',
  ESRCH:
    'the daemon does not see the PID namespace of this process: run it in the namespace of the daemon, or in one below',
};

/** Hints for a write to a file of the directory that is refused, by errno name. */
export const WRITE_HINTS = {
  EFBIG:
    'shorten the filter, or raise text below [filter] in the configuration; ' +
    'ulimit -f bounds a write too',
  ENOENT:
    'no event of this mount has had that name, or the daemon has an older version: mount again',
};

/**
 * Makes a process directory by mkdir(2) of `<mount>/<pid><label>`. If that name is taken, a number
 * follows it.
 *
 * The filter is written before `.since`, so that replayed events obey it. An event that comes
 * before the filter is written may be of any kind.
 *
 * @param mount the mount's path
 * @param label '' or `.<label>`
 * @param filter the events to link into the directory
 * @param since an event's name: the queue begins with the events after it that the bus has kept
 * @returns the directory's path
 * @throws UserError with the errno of mkdir(2), open(2) or write(2)
 */
export function makeOwnDirectory(
  mount: string,
  label: string,
  filter: Filter,
  since?: string,
): string {
  const path = makeFree(`${mount}/${process.pid}${label}`);
  try {
    if (!filter.all) writeTo(`${path}/.filter`, Buffer.from(`${filter.text}\n`, 'latin1'));
    if (since !== undefined) writeTo(`${path}/.since`, Buffer.from(`${since}\n`));
  } catch (error) {
    // Its queue would fill as long as this process runs.
    removeOwnDirectory(path);
    throw error;
  }
  return path;
}

/** Ends a process directory of this process. If that fails, it ends with the process. */
function removeOwnDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function makeFree(wanted: string): string {
  for (let n = 0; ; n++) {
    const path = n === 0 ? wanted : `${wanted}.${n}`;
    try {
      mkdirSync(path, { mode: 0o700 });
      return path;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code !== 'EEXIST') throw UserError.from(error, path, MKDIR_HINTS);
    }
  }
}

/**
 * Writes once, and never creates the file: a file made in a process directory is an event.
 *
 * @throws SystemError with the errno of open(2) or write(2)
 */
function writeExisting(path: string, text: Buffer): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

function writeTo(path: string, text: Buffer): void {
  try {
    writeExisting(path, text);
  } catch (error) {
    if (isSystemError(error)) throw UserError.from(error, path, WRITE_HINTS);
    throw error;
  }
}
