/**
 * Files that libfuse has renamed, because they were unlinked while they were open. libfuse alone
 * knows their new paths, and unlinks them at their last close.
 *
 * Any user can rename a file to such a name, and then libfuse never unlinks it. So a file leaves
 * the table when it is not open any more, and one that is not open never joins it.
 */
import type { Node } from '../../../tree/nodes/node.js';

/** The name that libfuse gives to a file that is unlinked while it is open. */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;

/** Returns whether a rename to this name removes the file. */
export function isHiddenName(name: string): boolean {
  return HIDDEN_NAME.test(name);
}

/** The hidden files of one mount. */
export class HiddenFiles {
  readonly #files = new Map<string, Node>();
  readonly #paths = new Map<Node, string>();

  /** The number of files. */
  get size(): number {
    return this.#files.size;
  }

  /** Adds a file that has left its directory, unless it is not open. */
  add(path: string, file: Node): void {
    if (file.opens === 0) return;
    this.delete(path);
    this.#files.set(path, file);
    this.#paths.set(file, path);
  }

  /** Finds a file. One whose directory has ended, with its owner or by rmdir, is not found. */
  get(path: string): Node | undefined {
    const file = this.#files.get(path);
    return file?.lifetime.over === true ? undefined : file;
  }

  /** Forgets a file that libfuse unlinks. @returns whether the path was that of a hidden file */
  delete(path: string): boolean {
    const file = this.#files.get(path);
    if (file !== undefined) this.#paths.delete(file);
    return this.#files.delete(path);
  }

  /** Forgets a file that was closed, if it is not open any more. */
  closed(file: Node): void {
    const path = file.opens > 0 ? undefined : this.#paths.get(file);
    if (path !== undefined) this.delete(path);
  }
}
