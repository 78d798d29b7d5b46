/**
 * A listening SOCK_SEQPACKET socket and its file. A stale file of a dead server is replaced; if
 * another server listens on it, eventfs refuses to start. The file is removed at the end.
 */
import { closeSync, lstatSync, type Stats, unlinkSync } from 'node:fs';
import { listenSeqpacket, probeSeqpacket } from '#native';
import { type Keeper, NO_KEEPER } from '../shared/kernel/keeper.js';
import { keepText, takeText } from '../shared/kernel/kept-text.js';
import { Errno, UserError, errnoText, isSystemError } from '../shared/errors.js';
import { keptName } from './kept-name.js';

/** A listening socket and its file. */
export class Listener {
  readonly fd: number;
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
   * @throws UserError if the file is not a socket, if another server listens there, or if a system
   *   call fails
   */
  constructor(
    readonly path: string,
    mode: number,
    liveHint = 'stop that server, or choose another path',
    private readonly keeper: Keeper = NO_KEEPER,
  ) {
    const [socketName, fileName] = [keptName('socket', path), keptName('file', path)];
    const kept = keeper.take(socketName);
    this.#isOfOther = kept !== undefined;
    if (kept === undefined) this.#clear(liveHint);
    try {
      this.fd = kept ?? listenSeqpacket(path, mode);
    } catch (error) {
      if (isSystemError(error))
        throw UserError.from(error, path, {
          ENOENT: 'its directory does not exist',
          ENAMETOOLONG: 'at most 107 bytes',
        });
      throw error;
    }
    const file = kept === undefined ? undefined : takeText(keeper, fileName);
    this.#file = file ?? identityOf(path);
    if (kept !== undefined || !keeper.keeps) return;
    keeper.keep(socketName, this.fd);
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
    if (this.#isOfOther) return;
    this.keeper.drop(keptName('socket', this.path));
    this.keeper.drop(keptName('file', this.path));
    if (this.#fileText >= 0) closeSync(this.#fileText);
    if (this.#file === '' || identityOf(this.path) !== this.#file) return;
    try {
      unlinkSync(this.path);
    } catch (error) {
      if (!isSystemError(error)) throw error; // the directory is gone, or is read-only by now
    }
  }

  #clear(liveHint: string): void {
    if (!findSocket(this.path, liveHint)) return;
    try {
      unlinkSync(this.path); // a killed server has left the file
    } catch (error) {
      if (isSystemError(error) && error.code !== 'ENOENT') throw UserError.from(error, this.path);
      if (!isSystemError(error)) throw error;
    }
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
