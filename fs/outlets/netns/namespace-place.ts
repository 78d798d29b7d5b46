/**
 * The place to which the path of a network namespace leads. Only a daemon for which no client waits
 * walks along the path: later a user may have made it lead into the mount. From then on the place
 * is looked at below the descriptor of its directory, with no request to any filesystem that could
 * be mounted there.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statfsSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError, isShortage, isSystemError } from '../../shared/errors.js';
import type { Keeper } from '../../shared/kernel/keeper.js';
import { keepText, takeText } from '../../shared/kernel/kept-text.js';
import { FUSE_SUPER_MAGIC, mounts } from '../../shared/kernel/mountinfo.js';
import { O_PATH } from '../../shared/open-flags.js';
import { keptName } from '../kept-name.js';

/** The most symlinks to follow. */
const MOST_LINKS = 8;
/** The type of a bind mount of a namespace's file. */
const NAMESPACES = 'nsfs';

/** Identifies a namespace: `<device>:<inode>` of its file. */
export type Identity = string;

/** A place that a walk along a path has found. */
export interface NamespacePlace {
  /** The file, a path without symlinks; or /proc/PID/ns/net, which is a magic link itself. */
  readonly file: string;
  /** The descriptor of its directory; -1 for /proc/PID/ns/net. */
  readonly directory: number;
}

/**
 * Walks along a path.
 *
 * @throws UserError for a file whose end cannot be watched, SystemError if there is none
 */
export function walkTo(path: string): NamespacePlace {
  const file = followLinks(path);
  if (pidOf(file) !== undefined) return { file, directory: -1 };
  const directory = openSync(dirname(file), O_PATH | constants.O_DIRECTORY);
  if (statfsSync(`/proc/self/fd/${directory}`).type !== FUSE_SUPER_MAGIC)
    return { file, directory };
  closeSync(directory);
  throw new UserError(
    `${path}: its directory is on a FUSE mount, for which the daemon must not wait (choose one in /run)`,
  );
}

/**
 * Takes the place that another daemon has kept for a path.
 *
 * @returns undefined if there is none
 */
export function takePlace(keeper: Keeper, path: string): NamespacePlace | undefined {
  const file = takeText(keeper, keptName('netns-file', path));
  const directory = keeper.take(keptName('netns-directory', path)) ?? -1;
  if (file !== undefined) return { file, directory };
  closePlace({ directory });
  return undefined;
}

/**
 * Keeps a place for the next daemon.
 *
 * @returns the memfd with its text, which stays open as long as the keeper has it
 */
export function keepPlace(keeper: Keeper, path: string, place: NamespacePlace): number {
  if (place.directory >= 0) keeper.keep(keptName('netns-directory', path), place.directory);
  return keepText(keeper, keptName('netns-file', path), place.file);
}

/** Drops what `keepPlace` has kept. */
export function dropPlace(keeper: Keeper, path: string): void {
  for (const kind of ['netns-directory', 'netns-file']) keeper.drop(keptName(kind, path));
}

/** Closes the descriptor of a place. */
export function closePlace({ directory }: Pick<NamespacePlace, 'directory'>): void {
  if (directory >= 0) closeSync(directory);
}

/**
 * Opens the namespace that has a place now.
 *
 * @param path the path that led there, for the error
 * @throws UserError if the file is no namespace, SystemError if there is none
 */
export function openNamespace(place: NamespacePlace, path: string): number {
  if (place.directory < 0) return openSync(place.file, constants.O_RDONLY);
  const found = find(place);
  try {
    if (!isNamespace(found)) throw noNamespace(path);
    return openSync(`/proc/self/fd/${found}`, constants.O_RDONLY);
  } finally {
    closeSync(found);
  }
}

/** Returns the error for a file that is no network namespace. */
export function noNamespace(path: string): UserError {
  return new UserError(
    `${path}: the file is no network namespace (name one of ip netns list, or /proc/PID/ns/net)`,
  );
}

/**
 * Returns the identity of the namespace that has a place now.
 *
 * @returns undefined if none has
 * @throws SystemError if the daemon has no descriptor or memory for the question
 */
export function identityAt(place: NamespacePlace): Identity | undefined {
  let found = -1;
  try {
    found = find(place);
    return isNamespace(found) ? identityOf(fstatSync(found)) : undefined;
  } catch (error) {
    if (isSystemError(error) && !isShortage(error.errno)) return undefined;
    throw error;
  } finally {
    if (found >= 0) closeSync(found);
  }
}

/** Returns the identity of a file. */
export function identityOf({ dev, ino }: { readonly dev: number; readonly ino: number }): Identity {
  return `${dev}:${ino}`;
}

/** Returns the PID of /proc/PID/ns/net, or undefined for another path. */
export function pidOf(path: string): number | undefined {
  const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

function find({ file, directory }: NamespacePlace): number {
  const name = `/proc/self/fd/${directory}/${basename(file)}`;
  return openSync(name, O_PATH | constants.O_NOFOLLOW);
}

/**
 * Returns whether a descriptor is that of a namespace: by its mount, because fstat(2) of a file on
 * a FUSE mount asks the mount's daemon.
 */
function isNamespace(fd: number): boolean {
  const id = /^mnt_id:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
  return mounts().find((mounted) => mounted.id === Number(id))?.type === NAMESPACES;
}

/**
 * Follows symlinks, as in /run/netns for containers of Docker, up to a file or to
 * /proc/PID/ns/net.
 *
 * @throws UserError for a file below /proc whose end cannot be watched
 */
function followLinks(path: string): string {
  let file = resolve(path);
  for (let links = 0; links < MOST_LINKS && pidOf(file) === undefined; links++) {
    if (file.startsWith('/proc/'))
      throw new UserError(
        `${path}: it does not have the form /proc/PID/ns/net (name a process by its number)`,
      );
    file = join(realpathSync(dirname(file)), basename(file));
    if (!lstatSync(file).isSymbolicLink()) return file;
    file = resolve(dirname(file), readlinkSync(file));
  }
  return file;
}
