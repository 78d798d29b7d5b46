/** The doors: how the tree reaches the kernel. What is not asked for is not loaded. */
import { Refusal } from '../shared/errors.js';
import type { Complain } from '../shared/complaints.js';
import type { Tree } from '../tree/tree.js';
import type { TransportName } from './devfuse/io-uring/transport.js';

export interface Driver {
  /**
   * Mounts and serves; resolves once clients can come. Throws Refusal.
   * @param onEnd called when the connection is over though nobody said so: somebody has unmounted
   */
  mount(path: string, onEnd: () => void): Promise<void>;
  /** Ends every blocked read with the end of the file, unmounts and lets go. */
  unmount(): void;
}

export const DRIVER_NAMES = ['devfuse', 'fuse-native'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

/** What devfuse can be told; fuse-native has no use for it. */
export interface DevFuseOptions {
  /** How many microseconds to look for the next request before sleeping; 0: not at all. */
  readonly busyPollUs: number;
  /** How requests come. */
  readonly transport: TransportName;
  /** What mount tables show as the source (default eventfs). */
  readonly fsname?: string;
}

/**
 * Opens a door for the tree. Refusal when it can't be loaded.
 * @param onRequest called for each request before it is served
 */
export async function openDriver(
  name: DriverName,
  tree: Tree,
  complain: Complain,
  options: DevFuseOptions,
  onRequest: () => void,
): Promise<Driver> {
  if (name === 'devfuse') return new (await import('./devfuse/devfuse.js')).DevFuse(tree, complain, options, onRequest);
  try {
    return new (await import('./fuse-native/fuse-native.js')).FuseNative(tree, complain, onRequest);
  } catch (error) {
    throw cannotLoad(error);
  }
}

/** dlopen(3)'s reason in one line, and what to install. */
function cannotLoad(error: unknown): Refusal {
  if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') {
    return new Refusal('--driver fuse-native: the npm package fuse-native is not installed (it is optional: npm ci --include=optional; or leave it at devfuse)');
  }
  const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
  const hint = reason.includes('libfuse.so.2') ? 'install libfuse2 on Debian, libfuse2t64 on newer ones, fuse on Alpine' : 'npm ci; it comes compiled for x86-64 and glibc';
  return new Refusal(`--driver fuse-native: ${reason} (${hint}; or leave it at devfuse)`);
}
