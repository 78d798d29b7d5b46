/**
 * Checks an invariant: the daemon answers a reader of a process directory only if it has drained
 * the deaths after the data came into the directory. The check costs nothing unless EVENTFS_ASSERT
 * turns the invariants on (fs/shared/invariant.ts).
 */
import { ASSERTS, broken } from '../shared/invariant.js';
import type { Owners } from '../owners/owners.js';

const NEVER = -1;

/** Checks at each answer to a reader that a drain has run since the last data came. */
export class DrainCheck {
  /** The value of `owners.drains` when data came last. */
  #drainsAtData = NEVER;

  constructor(private readonly owners: Owners) {}

  /**
   * Notes that an event was linked into a process directory, or that a file there was completed. A
   * death can complete one in the midst of a drain, which looks for deaths once more and counts
   * then.
   */
  dataCame(): void {
    if (ASSERTS) this.#drainsAtData = this.owners.drains;
  }

  /**
   * Checks the invariant. Called just before the daemon answers a reader of a process directory.
   * @throws InvariantError if no drain came after the last data
   */
  beforeAnswer(): void {
    if (ASSERTS && this.owners.drains === this.#drainsAtData)
      broken('the daemon answers a reader, but has not drained the deaths after the last event');
  }
}
