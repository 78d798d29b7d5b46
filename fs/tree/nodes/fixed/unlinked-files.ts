/** The files of one directory that are unlinked and that the kernel may still know. */
import type { TreeContext } from '../../context.js';
import type { Node } from '../node.js';

/**
 * The most files. No user is charged for them, and a descriptor with O_PATH makes the kernel know
 * a file for as long as a user likes.
 */
const MOST_KNOWN = 8;

/** The unlinked files that are not open, oldest first. */
export class UnlinkedFiles {
  readonly #files = new Set<Node>();

  constructor(private readonly context: Pick<TreeContext, 'disown'>) {}

  /**
   * Adds a file that has lost its name. If there are too many, the tree disowns the oldest: its
   * descriptors with O_PATH say ESTALE then.
   */
  add(file: Node): void {
    this.#files.add(file);
    if (this.#files.size <= MOST_KNOWN) return;
    const [oldest] = this.#files;
    this.#files.delete(oldest);
    this.context.disown(oldest);
  }

  /** Runs after the kernel has forgotten a file. */
  forgotten(file: Node): void {
    this.#files.delete(file);
  }

  /** Disowns all files: the directory has ended. */
  end(): void {
    for (const file of this.#files) this.context.disown(file);
    this.#files.clear();
  }
}
