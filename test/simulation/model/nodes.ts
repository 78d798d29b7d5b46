/** The model's nodes, by the kernel's numbers. */
import type { OpcodeName } from '../machine/request.js';
import type { ModelDirectory, ModelEntry, ModelSpecial } from './directory.js';

/** The requests for an open file: the daemon does not look for its node. */
export const BY_HANDLE = new Set<OpcodeName>([
  'FUSE_READ',
  'FUSE_READDIR',
  'FUSE_WRITE',
  'FUSE_POLL',
  'FUSE_FSYNC',
  'FUSE_RELEASE',
  'FUSE_RELEASEDIR',
]);

/** The file of a node number. */
export type Target =
  | { readonly kind: 'root' | 'match' | 'stream' | 'publish' }
  | { readonly kind: 'matchFile'; readonly filter: string }
  | { readonly kind: 'fixed'; readonly directory: ModelDirectory; readonly name: string }
  | ModelDirectoryTarget
  | ModelEntry
  | ModelSpecial;

/** A process directory or `log/`. */
interface ModelDirectoryTarget {
  readonly kind: 'directory';
  readonly directory: ModelDirectory;
}

/** The kinds of files that a restarted daemon knows as long as they exist. */
export const ALWAYS_KNOWN = new Set<Target['kind']>([
  'root',
  'match',
  'stream',
  'publish',
  'directory',
]);

/** A node that the kernel knows. */
export class ModelNode {
  lookups = 0;
  /** Whether every request for it fails with ESTALE. */
  isGone = false;
  /** Whether it may be gone after a restart: it has no entry and no open file. */
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

  /** Whether a restarted daemon may not know it any more. */
  get mayBeUnknown(): boolean {
    const { target } = this;
    if (target.kind !== 'fixed') return this.mayBeGone;
    // The daemon finds a fixed name by the number of its directory.
    return this.mayBeGone && target.directory.node?.mayBeGone !== false;
  }
}

/**
 * Returns whether open(2) of a file fails with ESTALE: it has no name, and no process has it open.
 */
export function isUnreachable(target: Target): boolean {
  return target.kind === 'entry' && target.event.links === 0 && target.event.opens === 0;
}
