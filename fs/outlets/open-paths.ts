/**
 * The paths of outlets, for a daemon that is to replace another one. It opens them while the other
 * one still serves. Later clients wait for this daemon: a user may have made a path lead into the
 * mount, or to a filesystem that does not answer.
 */
import { closeSync } from 'node:fs';
import { UserError, isSystemError } from '../shared/errors.js';
import type { NamespacePlace } from './netns/namespace-place.js';
import { type OutletOptions, refuseBelow } from './open-outlets.js';
import type { BoundSocket, OpenedPaths } from './opened-paths.js';

/**
 * Opens the paths. Errors wait for the calls of the result: after a death the daemon has the
 * descriptors of the last one instead, and where the other daemon listens it passes its socket on.
 *
 * @param mount the mount point
 */
export async function openPaths(options: OutletOptions, mount: string): Promise<OpenedPaths> {
  const paths = new Paths(() => refuseBelow(options, mount));
  if (paths.isRefused) return paths;
  const { fifodir, socket, fdSocket, netns = [] } = options;
  if (fifodir !== undefined) {
    const { openFifodir } = await import('./fifodir.js');
    paths.fifodirs.add(fifodir, () => openFifodir(fifodir), closeSync);
  }
  for (const place of [socket, fdSocket]) {
    if (place === undefined) continue;
    const { bindSocket, closeBound } = await import('./listener.js');
    const { path, mode } = place;
    const bind = (): BoundSocket => bindSocket(path, mode);
    paths.sockets.add(path, bind, (bound) => closeBound(bound, path));
  }
  for (const { path } of netns) {
    const { closePlace, walkTo } = await import('./netns/namespace-place.js');
    paths.namespaces.add(path, () => walkTo(path), closePlace);
  }
  return paths;
}

/** The result of work, or the error for the user that it has ended with. */
class Attempt<T> {
  readonly #error: unknown;
  readonly #result: T | undefined;

  constructor(work: () => T) {
    try {
      this.#result = work();
    } catch (error) {
      if (!(error instanceof UserError) && !isSystemError(error)) throw error;
      this.#error = error;
    }
  }

  get hasFailed(): boolean {
    return this.#error !== undefined;
  }

  /** @throws the error */
  get result(): T {
    if (this.hasFailed) throw this.#error;
    return this.#result as T;
  }
}

/** The open paths of one kind of outlet. */
class Found<T> {
  readonly #attempts = new Map<
    string,
    { readonly attempt: Attempt<T>; readonly close: (found: T) => void }
  >();

  add(path: string, open: () => T, close: (found: T) => void): void {
    this.#attempts.set(path, { attempt: new Attempt(open), close });
  }

  take(path: string): T {
    const found = this.#attempts.get(path);
    this.#attempts.delete(path);
    if (found === undefined) throw new Error(`${path} was not opened`);
    return found.attempt.result;
  }

  closeRest(): void {
    for (const found of this.#attempts.values())
      if (!found.attempt.hasFailed) found.close(found.attempt.result);
    this.#attempts.clear();
  }
}

class Paths implements OpenedPaths {
  readonly fifodirs = new Found<number>();
  readonly sockets = new Found<BoundSocket>();
  readonly namespaces = new Found<NamespacePlace>();
  readonly #permission: Attempt<void>;

  /** @param refuse throws if the daemon must not open the outlets */
  constructor(refuse: () => void) {
    this.#permission = new Attempt(refuse);
  }

  get isRefused(): boolean {
    return this.#permission.hasFailed;
  }

  refuseBelow(): void {
    void this.#permission.result;
  }

  takeFifodir(path: string): number {
    this.refuseBelow();
    return this.fifodirs.take(path);
  }

  takeSocket(path: string): BoundSocket {
    this.refuseBelow();
    return this.sockets.take(path);
  }

  takeNamespace(path: string): NamespacePlace {
    this.refuseBelow();
    return this.namespaces.take(path);
  }

  close(): void {
    for (const found of [this.fifodirs, this.sockets, this.namespaces]) found.closeRest();
  }
}
