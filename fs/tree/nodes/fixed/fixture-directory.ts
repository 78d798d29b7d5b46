/** Base class of the directories that have fixed names: `head`, `tail`, `.status` and others. */
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Entry } from '../../../bus/queue.js';
import type { TreeContext } from '../../context.js';
import { Directory } from '../directory.js';
import type { Lifetime, Node, NodeId } from '../node.js';
import { type End, EndLink, type EndsHost } from './end-link.js';
import { fixedNameAt, inodeOfFixed } from './fixed-names.js';
import { UnlinkedFiles } from './unlinked-files.js';

/** A directory that makes the node of a fixed name at its first lookup. */
export abstract class FixtureDirectory extends Directory implements EndsHost {
  abstract readonly uid: number;
  abstract readonly gid: number;
  /** The nodes of the fixed names that the kernel knows. */
  #fixtures: Map<string, Node> | null = null;
  /** Null until a file is unlinked. */
  #unlinked: UnlinkedFiles | null = null;

  constructor(
    protected readonly context: TreeContext,
    id: NodeId,
    lifetime: Lifetime,
    born?: Timestamp,
  ) {
    super(id, lifetime, born);
  }

  /** Returns the event at one end, or undefined if the queue is empty. */
  abstract atEnd(end: End): Entry | undefined;

  /** Returns the inode number of a fixed name. */
  inodeOf(name: string): number {
    return inodeOfFixed(this.id, name);
  }

  /**
   * Makes the node of a fixed name.
   * @returns undefined if this directory never has such a name
   */
  protected makeFixture(name: string): Node | undefined {
    if (name !== 'head' && name !== 'tail') return undefined;
    return new EndLink(this.fixtureId(name), this, name);
  }

  /** Returns the node id of a fixed name: its inode number, so that a later daemon knows it. */
  protected fixtureId(name: string): NodeId {
    return this.inodeOf(name) as NodeId;
  }

  /**
   * Returns the known node of a fixed name, or makes it; undefined if the name does not exist now.
   */
  protected fixture(name: string): Node | undefined {
    const isEnd = name === 'head' || name === 'tail';
    return isEnd && this.atEnd(name) === undefined ? undefined : this.#knownOrMade(name);
  }

  #knownOrMade(name: string): Node | undefined {
    const known = this.#fixtures?.get(name);
    if (known !== undefined) return known;
    const made = this.makeFixture(name);
    if (made !== undefined) (this.#fixtures ??= new Map()).set(name, made);
    return made;
  }

  /**
   * Returns the node of a fixed name by its place. The kernel may know `head` and `tail` from a
   * time at which the queue had an event, so they are found while it is empty too.
   * @param offset from 1 to EVENT_DIRECTORY_INODES - 1
   * @returns undefined if this directory never has that name
   */
  fixtureAt(offset: number): Node | undefined {
    return this.#knownOrMade(fixedNameAt(offset));
  }

  /** The unlinked files that the kernel may still know. */
  protected get unlinkedFiles(): UnlinkedFiles {
    return (this.#unlinked ??= new UnlinkedFiles(this.context));
  }

  /** Runs after the kernel has forgotten a file, which may be an unlinked one. */
  protected unlinkedForgotten(file: Node): void {
    this.#unlinked?.forgotten(file);
  }

  /** Runs after the kernel has forgotten the node of a fixed name. */
  fixtureForgotten(name: string): void {
    this.#fixtures?.delete(name);
    if (this.#fixtures?.size === 0) this.#fixtures = null;
  }

  /**
   * Disowns the nodes of the directory itself, of the fixed names and of unlinked files, after the
   * directory has ended.
   */
  protected letGoOfNodes(): void {
    this.context.disown(this);
    for (const node of this.#fixtures?.values() ?? []) this.context.disown(node);
    this.#fixtures = null;
    this.#unlinked?.end();
  }
}
