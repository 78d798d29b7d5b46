/** The paths of outlets that a daemon has opened while another one served. */
import type { NamespacePlace } from './netns/namespace-place.js';

/** A socket that is bound and does not listen yet. */
export interface BoundSocket {
  readonly fd: number;
  /** The descriptor of the file's directory; -1 if it can't be opened. */
  readonly directory: number;
  /** The identity of the file; empty if there is none. */
  readonly file: string;
}

/**
 * The open paths. The caller of a method closes what it gets. A method throws the error of a path
 * that could not be opened: a UserError, or that of a system call.
 */
export interface OpenedPaths {
  /** @throws UsageError if a path is below the mount */
  refuseBelow(): void;
  /** Returns the descriptor of the fifodir. */
  takeFifodir(path: string): number;
  /** Returns the bound socket of a path. */
  takeSocket(path: string): BoundSocket;
  /** Returns the place of a network namespace. */
  takeNamespace(path: string): NamespacePlace;
  /** Closes what was not taken, and removes the files of its sockets. */
  close(): void;
}
