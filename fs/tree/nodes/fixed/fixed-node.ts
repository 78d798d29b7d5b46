/** The base of the files whose names a directory always has: `.filter`, `head` and others. */
import { type Lifetime, Node, type NodeId } from '../node.js';

/** A directory with such names. */
export interface FixedNodeHost {
  readonly id: NodeId;
  readonly lifetime: Lifetime;
  /** Returns the inode number of a name that the directory always has. */
  inodeOf(name: string): number;
  /** Runs after the kernel has forgotten the file. */
  fixtureForgotten(name: string): void;
}

/** After a FORGET the next lookup makes a new node, with the same inode number. */
export abstract class FixedNode<Host extends FixedNodeHost> extends Node {
  readonly #ino: number;

  /** @param name one of the names that the directory always has */
  constructor(
    id: NodeId,
    readonly directory: Host,
    readonly name: string,
  ) {
    super(id, directory.lifetime);
    this.#ino = directory.inodeOf(name);
  }

  override get parentId(): number {
    return this.directory.id;
  }

  override get nameInParent(): string {
    return this.name;
  }

  override get ino(): number {
    return this.#ino;
  }

  override forgotten(): void {
    this.directory.fixtureForgotten(this.name);
  }
}
