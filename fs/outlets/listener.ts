/** A listening SOCK_SEQPACKET socket and its file: a dead server's is replaced, a live one's refused, ours removed at the end. */
import { closeSync, lstatSync, type Stats, unlinkSync } from 'node:fs';
import { listenSeqpacket, probeSeqpacket } from '#native';
import { Errno, UserError, errnoText, isSystemError } from '../shared/errors.js';

export class Listener {
  readonly fd: number;
  /** Our file's inode, to tell it from another's that may have taken its place since. */
  readonly #ino: number;

  /** @param liveHint what to do about a server that is there already */
  constructor(
    readonly path: string,
    mode: number,
    liveHint = 'another server has it: stop that, or take another path',
  ) {
    this.#clear(liveHint);
    try {
      this.fd = listenSeqpacket(path, mode);
    } catch (error) {
      if (isSystemError(error))
        throw UserError.from(error, path, {
          ENOENT: 'its directory is not there',
          ENAMETOOLONG: 'at most 107 bytes',
        });
      throw error;
    }
    this.#ino = lookAt(path)?.ino ?? -1;
  }

  close(): void {
    closeSync(this.fd);
    if (lookAt(this.path)?.ino !== this.#ino) return;
    try {
      unlinkSync(this.path);
    } catch (error) {
      if (!isSystemError(error)) throw error; // a directory that went away, or is read-only by now
    }
  }

  #clear(liveHint: string): void {
    const found = lookAt(this.path);
    if (found === undefined) return;
    if (!found.isSocket())
      throw new UserError(
        `${this.path}: there is a file that is no socket (take another path, or remove it)`,
      );
    const errno = probeSeqpacket(this.path);
    if (errno !== Errno.ECONNREFUSED && errno !== Errno.ENOENT) {
      const why =
        errno === 0 || errno === Errno.EPROTOTYPE || errno === Errno.EAGAIN
          ? liveHint
          : errnoText(errno);
      throw new UserError(`${this.path}: somebody listens there (${why})`);
    }
    try {
      unlinkSync(this.path); // a killed server has left it
    } catch (error) {
      if (isSystemError(error) && error.code !== 'ENOENT') throw UserError.from(error, this.path);
      if (!isSystemError(error)) throw error;
    }
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
