/** Tells whether a path still leads to the mount that it led to at first. */
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { DaemonEndedError, isSystemError } from '../shared/errors.js';

/** A mount that may be unmounted while this process has files of it open. */
export class MountIdentity {
  readonly #device: number;

  /** @param path the mount's path */
  constructor(private readonly path: string) {
    this.#device = statSync(path).dev;
  }

  /**
   * Looks at the path, without blocking.
   *
   * @throws DaemonEndedError if another filesystem is there: after umount(8) with the option `-l`
   *   the open files of a mount still work, and new names are made in the directory below it
   */
  async check(): Promise<void> {
    if (await this.#isThere()) return;
    throw new DaemonEndedError(`${this.path}: it is unmounted (mount it again)`);
  }

  async #isThere(): Promise<boolean> {
    try {
      return (await stat(this.path)).dev === this.#device;
    } catch (error) {
      // The daemon has ended, which others notice, or the directory is gone.
      if (isSystemError(error)) return error.code !== 'ENOENT';
      throw error;
    }
  }
}
