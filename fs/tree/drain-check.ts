/**
 * Checks the promise where it is kept: nothing leaves the daemon for a reader of a process directory unless the deaths
 * were drained after the data came to be. Costs nothing where the invariants are not checked (fs/shared/invariant.ts).
 */
import { ASSERTS, broken } from '../shared/invariant.js';
import type { Owners } from '../owners/owners.js';

const NEVER = -1;

export class DrainCheck {
  /** What `owners.drains` was when data came last. */
  #drainsAtData = NEVER;

  constructor(private readonly owners: Owners) {}

  /** An event was linked into a process directory, or a file there was completed. */
  dataCame(): void {
    if (ASSERTS) this.#drainsAtData = this.owners.drains;
  }

  /**
   * A reader is about to get what a process directory holds.
   * @throws InvariantError when no drain came after the last data
   */
  beforeAnswer(): void {
    if (ASSERTS && this.owners.drains === this.#drainsAtData)
      broken('an answer goes out, and the deaths were not drained after the last event');
  }
}
