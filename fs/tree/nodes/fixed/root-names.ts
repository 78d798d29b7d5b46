/** The names that are always in the root. */
import { FileType } from '../attributes.js';
import type { Fixed } from '../listing/root-listing.js';
import type { Node, NodeId } from '../node.js';
import { RootFile } from '../root-file.js';

/** The fixed names of the root, with their files and directories. */
export class RootNames {
  /** In the order of the listing. */
  readonly list: Fixed[] = [];
  /** How many are directories. */
  directories = 0;

  /** Adds a name behind the others. */
  add(fixed: Fixed): void {
    this.list.push(fixed);
    if (fixed.node.type === FileType.directory) this.directories++;
  }

  /** Finds a file or directory by its name. */
  named(name: string): Node | undefined {
    return this.list.find((fixed) => fixed.name === name)?.node;
  }

  /** Finds a file or directory by its node id. */
  numbered(id: NodeId): Node | undefined {
    return this.list.find(({ node }) => node.id === id)?.node;
  }

  /** All files and directories. */
  get nodes(): Node[] {
    return this.list.map(({ node }) => node);
  }

  /** The files. */
  get files(): RootFile[] {
    return this.nodes.filter((node) => node instanceof RootFile);
  }
}
