/** The files of a guardian: its lock, and the socket of `eventfs reload`. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { UserError, isSystemError } from '../shared/errors.js';

/** The directory of root's guardians. */
const SYSTEM_DIRECTORY = '/run/eventfs';
const NAME_CHARACTERS = 32;
const HASH_CHARACTERS = 12;

/** The paths of a guardian's files. */
interface ControlFiles {
  readonly lock: string;
  readonly socket: string;
}

/**
 * Returns the files of the guardian of a mount.
 *
 * @param path the mount point, as mountinfo shows it
 * @param directory a result of {@link controlDirectory}
 */
export function controlFiles(path: string, directory: string): ControlFiles {
  // Two containers may have a mount at the same path, and share the directory
  const namespace = readlinkSync('/proc/self/ns/mnt');
  const hash = createHash('sha256').update(`${namespace} ${path}`).digest('hex');
  const readable = path
    .slice(1)
    .replace(/[^A-Za-z0-9.]+/g, '-')
    .slice(-NAME_CHARACTERS);
  const name = join(directory, `${readable}-${hash.slice(0, HASH_CHARACTERS)}`);
  return { lock: `${name}.lock`, socket: `${name}.socket` };
}

/**
 * Returns the directories where this user's guardians may have their files: the first that can be
 * used is used.
 */
export function controlDirectories(): readonly string[] {
  const uid = process.geteuid!();
  const { XDG_RUNTIME_DIR: own = '' } = process.env;
  return [
    ...(uid === 0 ? [SYSTEM_DIRECTORY] : []),
    ...(own === '' ? [] : [join(own, 'eventfs')]),
    `/tmp/eventfs-${uid}`,
  ];
}

/**
 * Makes the directory for this user's guardians.
 *
 * @throws UserError if none can be made
 */
export function controlDirectory(): string {
  const all = controlDirectories();
  const found = all.find((path) => makeOwn(path));
  if (found === undefined)
    throw new UserError(
      `--guard: ${all.join(', ')}: none of them can be made for the guardian's lock (set XDG_RUNTIME_DIR)`,
    );
  return found;
}

/** @returns false if this user has no such directory, and can't make it */
function makeOwn(path: string): boolean {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
  return isOwn(path);
}

/** Returns whether a directory is there, and only this user can have put files into it. */
export function isOwn(path: string): boolean {
  try {
    const found = lstatSync(path);
    const { uid, mode } = found;
    return found.isDirectory() && uid === process.geteuid!() && (mode & 0o022) === 0;
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}
