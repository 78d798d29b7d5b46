/** The model's open files. */
import type { ModelDirectory, ModelEntry } from './directory.js';
import type { ModelStream } from './events.js';
import type { ModelNode } from './nodes.js';
import type { ModelPublish } from './publish.js';
import type { Account } from './quota.js';

/** The use of an open file. */
export type Use =
  | { readonly kind: 'stream'; readonly stream: ModelStream; readonly account: Account }
  | { readonly kind: 'queue'; rest: string; account: Account | null }
  | { readonly kind: 'event'; readonly entry: ModelEntry; readonly writes: boolean }
  | { readonly kind: 'publish'; readonly publish: ModelPublish }
  | { readonly kind: 'list'; end: number; readonly positions: Map<number, number> | null }
  | { readonly kind: 'filter'; isEmptied: boolean; written: string }
  | { readonly kind: 'since' }
  | { readonly kind: 'text'; readonly known: string };

/** An open file. */
export class ModelHandle {
  /** The poll key, once it was polled. */
  pollKey = 0;
  /** Whether the daemon has to name the poll key when something comes. */
  isWatched = false;
  /** Whether something has come since the last poll, or there was nothing at the poll. */
  isDue = false;

  constructor(
    readonly fh: number,
    readonly node: ModelNode,
    readonly use: Use,
    /** The directory that it ends with; null if it never ends. */
    readonly directory: ModelDirectory | null,
  ) {}

  /** Whether every request for it fails with ESTALE. */
  get isOver(): boolean {
    const { use } = this;
    return use.kind === 'event' ? use.entry.directory.isOver : this.directory?.isOver === true;
  }
}
