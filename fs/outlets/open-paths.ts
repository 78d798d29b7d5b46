/**
 * The paths of outlets, for a daemon that is to replace another one. It opens them while the other
 * one still serves. Later clients wait for this daemon: a user may have made a path lead into the
 * mount, and the daemon would then wait for itself.
 */
import { UserError } from '../shared/errors.js';
import { type OutletOptions, refuseBelow } from './open-outlets.js';
import type { OpenedPaths } from './opened-paths.js';

/**
 * Opens the paths. Errors wait for the calls of the result: after a death the daemon has the
 * descriptors of the last one instead.
 *
 * @param mount the mount point
 */
export async function openPaths(options: OutletOptions, mount: string): Promise<OpenedPaths> {
  const refusal = attempt(() => {
    refuseBelow(options, mount);
    return undefined;
  });
  const { fifodir } = options;
  if (fifodir === undefined || refusal !== undefined) return new Paths(refusal, undefined);
  const { openFifodir } = await import('./fifodir.js');
  return new Paths(
    undefined,
    attempt(() => openFifodir(fifodir)),
  );
}

class Paths implements OpenedPaths {
  readonly #fifodir: number | UserError | undefined;
  /** Why the daemon must not open the outlets; undefined if it may. */
  readonly #refusal: UserError | undefined;

  constructor(refusal: UserError | undefined, fifodir: number | UserError | undefined) {
    this.#refusal = refusal;
    this.#fifodir = fifodir;
  }

  refuseBelow(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  takeFifodir(): number {
    if (typeof this.#fifodir !== 'number')
      throw this.#fifodir ?? this.#refusal ?? new Error('there is no fifodir');
    return this.#fifodir;
  }
}

function attempt<T>(open: () => T): T | UserError {
  try {
    return open();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}
