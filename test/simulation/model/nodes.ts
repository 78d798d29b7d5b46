/** The model's nodes, by the kernel's numbers. */
import type { ModelDirectory, ModelEntry, ModelSpecial } from './directory.js';

/** The file of a node number. */
export type Target =
  | { readonly kind: 'root' | 'match' | 'stream' | 'publish' }
  | { readonly kind: 'matchFile'; readonly filter: string }
  | { readonly kind: 'fixed'; readonly directory: ModelDirectory; readonly name: string }
  | ModelDirectoryTarget
  | ModelEntry
  | ModelSpecial;

/** A process directory or `log/`. */
export interface ModelDirectoryTarget {
  readonly kind: 'directory';
  readonly directory: ModelDirectory;
}

/** A node that the kernel knows. */
export class ModelNode {
  lookups = 0;
  /** Whether every request for it fails with ESTALE. */
  isGone = false;
  /** Whether a restarted daemon may not know it any more: it has no entry and no open file. */
  mayBeGone = false;
  /** Whether a restarted daemon does not know how often the kernel has looked it up. */
  isInexact = false;

  constructor(
    readonly nodeid: number,
    readonly target: Target,
  ) {}

  /** Whether its directory has ended. */
  get isOver(): boolean {
    const { target } = this;
    switch (target.kind) {
      case 'fixed':
      case 'directory':
      case 'entry':
      case 'special':
        return target.directory.isOver;
      default:
        return false;
    }
  }
}
