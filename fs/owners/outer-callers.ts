/** The callers in the daemon's own PID namespace, which most are. */
import { clock } from '../shared/clock.js';
import { system } from './system.js';

/**
 * How long the daemon knows a caller, in milliseconds. A process never changes its PID namespace,
 * and no PID is used again that soon: the kernel gives all others first.
 */
const KNOWN_MS = 2;

/** Tells callers in the daemon's PID namespace from others. */
export class OuterCallers {
  readonly #namespace = system.namespaceOf('self', 'pid');
  /** The callers that are known to be in the namespace. */
  readonly #known = new Set<number>();
  #knownUntilMs = 0;

  /**
   * Returns whether a process or thread is in the namespace. A caller that makes requests without
   * end costs one read of a link in /proc (3.4 us) in a while.
   */
  has(id: number): boolean {
    const nowMs = clock.monotonicMs();
    if (nowMs >= this.#knownUntilMs) {
      this.#known.clear();
      this.#knownUntilMs = nowMs + KNOWN_MS;
    }
    if (this.#known.has(id)) return true;
    if (system.namespaceOf(id, 'pid') !== this.#namespace) return false;
    this.#known.add(id);
    return true;
  }
}
