/**
 * A listening SOCK_SEQPACKET socket and its file. A stale file of a dead server is replaced; if
 * another server listens on it, eventfs refuses to start. The file is removed at the end.
 */
import { closeSync, constants, lstatSync, openSync, type Stats, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { bindSeqpacket, listenOn, probeSeqpacket } from '#native';
import { type Keeper, NO_KEEPER } from '../shared/kernel/keeper.js';
import { keepText, takeText } from '../shared/kernel/kept-text.js';
import { Errno, type SystemError, UserError, errnoText, isSystemError } from '../shared/errors.js';
import { O_PATH } from '../shared/open-flags.js';
import { keptName } from './kept-name.js';
import type { BoundSocket, OpenedPaths } from './opened-paths.js';

const LIVE_HINT = 'stop that server, or choose another path';

/** A listening socket and its file. */
export class Listener {
  readonly fd: number;
  /**
   * The directory of the file; -1 if it can't be opened. Only the first daemon walks along the
   * path: later a user may have made it lead into the mount.
   */
  readonly #directory: number;
  /** The file, as a path that begins at that directory. */
  readonly #place: string;
  /**
   * The identity of the file that the first daemon has made; empty if there was none. Another
   * server's file may have replaced it since.
   */
  readonly #file: string;
  /** The memfd with that text; -1 in a daemon that has taken it over. */
  #fileText = -1;
  /** Whether the socket is another daemon's, which may have to go on. */
  #isOfOther: boolean;

  /**
   * @param path the socket's file
   * @param mode the file's mode
   * @param liveHint tells the user what to do if another server listens there
   * @param keeper keeps the socket for the next daemon: clients that connect meanwhile wait
   * @param opened the socket, if this daemon has bound it while another one served
   * @throws UserError if the file is not a socket, if another server listens there, or if a system
   *   call fails
   */
  constructor(
    readonly path: string,
    mode: number,
    liveHint = LIVE_HINT,
    private readonly keeper: Keeper = NO_KEEPER,
    opened?: OpenedPaths,
  ) {
    const [socketName, fileName] = [keptName('socket', path), keptName('file', path)];
    const directoryName = keptName('directory', path);
    const kept = keeper.take(socketName);
    this.#isOfOther = kept !== undefined;
    const bound =
      kept === undefined ? (opened?.takeSocket(path) ?? bindSocket(path, mode, liveHint)) : null;
    this.fd = bound?.fd ?? kept!;
    if (bound !== null) listen(bound, path);
    this.#directory = bound?.directory ?? keeper.take(directoryName) ?? -1;
    this.#place = placeIn(this.#directory, path);
    const file = bound?.file ?? takeText(keeper, fileName);
    this.#file = file ?? identityOf(this.#place);
    if (kept !== undefined || !keeper.keeps) return;
    keeper.keep(socketName, this.fd);
    if (this.#directory >= 0) keeper.keep(directoryName, this.#directory);
    this.#fileText = keepText(keeper, fileName, this.#file);
  }

  /** Notes that this daemon serves: the socket is its own from now on. */
  start(): void {
    this.#isOfOther = false;
  }

  /**
   * Closes the socket, and removes the file if it is still the daemon's own. The socket of a daemon
   * from which this one could not take over stays as it is.
   */
  close(): void {
    closeSync(this.fd);
    if (!this.#isOfOther) {
      for (const kind of ['socket', 'file', 'directory'])
        this.keeper.drop(keptName(kind, this.path));
      if (this.#fileText >= 0) closeSync(this.#fileText);
      removeFile(this.#place, this.#file);
    }
    if (this.#directory >= 0) closeSync(this.#directory);
  }
}

/**
 * Binds a socket. Clients are refused until it listens.
 *
 * @param mode the file's mode
 * @param liveHint tells the user what to do if another server listens there
 * @throws UserError as the constructor of {@link Listener}
 */
export function bindSocket(path: string, mode: number, liveHint = LIVE_HINT): BoundSocket {
  clear(path, liveHint);
  let fd: number;
  try {
    fd = bindSeqpacket(path, mode);
  } catch (error) {
    throw isSystemError(error) ? toUserError(error, path) : error;
  }
  const directory = openDirectory(path);
  return { fd, directory, file: identityOf(placeIn(directory, path)) };
}

/** Closes a socket that does not listen, and removes its file. */
export function closeBound({ fd, directory, file }: BoundSocket, path: string): void {
  closeSync(fd);
  removeFile(placeIn(directory, path), file);
  if (directory >= 0) closeSync(directory);
}

function listen(bound: BoundSocket, path: string): void {
  try {
    listenOn(bound.fd);
  } catch (error) {
    closeBound(bound, path);
    throw isSystemError(error) ? toUserError(error, path) : error;
  }
}

function toUserError(error: SystemError, path: string): UserError {
  return UserError.from(error, path, {
    ENOENT: 'its directory does not exist',
    EACCES: 'choose a directory in which this user may write',
    EPERM: 'its filesystem has no sockets, as a mount of eventfs: choose one in /run',
    EROFS: 'choose a directory in which this user may write, as in /run',
    ENAMETOOLONG: 'at most 107 bytes',
  });
}

function placeIn(directory: number, path: string): string {
  return directory < 0 ? path : `/proc/self/fd/${directory}/${basename(path)}`;
}

/** Removes a file if it is still the one with that identity. */
function removeFile(place: string, identity: string): void {
  if (identity === '' || identityOf(place) !== identity) return;
  try {
    unlinkSync(place);
  } catch (error) {
    if (!isSystemError(error)) throw error; // the directory is gone, or is read-only by now
  }
}

function clear(path: string, liveHint: string): void {
  if (!findSocket(path, liveHint)) return;
  try {
    unlinkSync(path); // a killed server has left the file
  } catch (error) {
    if (isSystemError(error) && error.code !== 'ENOENT') throw UserError.from(error, path);
    if (!isSystemError(error)) throw error;
  }
}

/**
 * Looks for the socket that a killed server has left.
 *
 * @param liveHint tells the user what to do if another server listens there
 * @returns false if there is no file
 * @throws UserError if the file is not a socket, or if another server listens there
 */
export function findSocket(path: string, liveHint: string): boolean {
  const found = lookAt(path);
  if (found === undefined) return false;
  if (!found.isSocket())
    throw new UserError(`${path}: the file is not a socket (remove it, or choose another path)`);
  const errno = probeSeqpacket(path);
  if (errno === 0 || errno === Errno.EPROTOTYPE || errno === Errno.EAGAIN)
    throw new UserError(
      `${path}: another server listens on this socket; eventfs refuses to start (${liveHint})`,
    );
  if (errno !== Errno.ECONNREFUSED && errno !== Errno.ENOENT)
    throw new UserError(
      `${path}: another server may listen on this socket: ${errnoText(errno)} (choose another path)`,
    );
  return true;
}

/** Opens the directory of a file; -1 if that fails. */
function openDirectory(path: string): number {
  try {
    return openSync(dirname(path), O_PATH | constants.O_DIRECTORY);
  } catch (error) {
    if (isSystemError(error)) return -1; // the path itself serves as well
    throw error;
  }
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

/**
 * Returns the identity of a file; empty if there is none. Its birth time is a part, because another
 * file may get its inode number.
 */
function identityOf(path: string): string {
  try {
    const { dev, ino, birthtimeNs } = lstatSync(path, { bigint: true });
    return `${dev} ${ino} ${birthtimeNs}`;
  } catch (error) {
    if (isSystemError(error)) return '';
    throw error;
  }
}
