/** The signals of AbortController that the library's calls take. */
import { EventfsError } from './errors.js';

/** The listener of each signal that a call waits for. */
const listeners = new WeakMap<AbortSignal, SharedListener>();

/**
 * Checks the option `signal`.
 *
 * @throws EventfsError `BAD_OPTION`
 */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  // Not instanceof: the signal may come from another realm.
  const { aborted, addEventListener } = Object(signal) as Partial<AbortSignal>;
  if (typeof aborted !== 'boolean' || typeof addEventListener !== 'function')
    throw new EventfsError(
      'BAD_OPTION',
      'signal: it is not an AbortSignal (use the member signal of an AbortController)',
    );
}

/**
 * Calls back once a signal aborts. All calls of the library share one listener for each signal:
 * Node warns of a leak from the eleventh listener on.
 *
 * @param signal a signal that has not aborted, or none
 * @returns a function that ends the wait; the last one removes the listener
 */
export function onAbort(signal: AbortSignal | undefined, act: () => void): () => void {
  if (signal === undefined) return () => undefined;
  const listener = listeners.get(signal) ?? new SharedListener(signal);
  return listener.add(act);
}

/** The listener on one signal. */
class SharedListener {
  readonly #acts = new Set<() => void>();

  constructor(private readonly signal: AbortSignal) {
    listeners.set(signal, this);
    signal.addEventListener('abort', this.#onAbort);
  }

  add(act: () => void): () => void {
    const own = (): void => act(); // one act may wait twice
    this.#acts.add(own);
    return () => {
      if (!this.#acts.delete(own) || this.#acts.size > 0) return;
      this.signal.removeEventListener('abort', this.#onAbort);
      listeners.delete(this.signal);
    };
  }

  readonly #onAbort = (): void => {
    for (const act of [...this.#acts]) act();
  };
}
