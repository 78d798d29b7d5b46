/**
 * Where events are missing in a queue, and how many. Each loss keeps its place among the events until a reader is told;
 * two of them become one when no event is left between them.
 */
import type { Sequence } from './sequence.js';

export class Losses {
  /** How many lost events no reader has been told of. */
  untold = 0;
  /** Ascending: a loss stands before all entries at its position or behind it. Parallel to `#counts`. */
  #places: number[] = [];
  #counts: number[] = [];

  /** At how many places something is missing. */
  get size(): number {
    return this.#places.length;
  }

  /** The oldest entry, at `position`, was dropped. */
  atHead(position: number, count: number): void {
    this.untold += count;
    if (this.#places.length > 0 && this.#places[0] <= position) this.#counts[0] += count;
    else {
      this.#places.unshift(position);
      this.#counts.unshift(count);
    }
  }

  /** Something was not added behind the newest entry. */
  atEnd<T>(entries: Sequence<T>, count: number): void {
    this.untold += count;
    const last = this.#places.length - 1;
    if (last >= 0 && entries.seek(this.#places[last]) < 0) this.#counts[last] += count;
    else {
      this.#places.push(entries.nextPosition);
      this.#counts.push(count);
    }
    // Entries in between that were unlinked leave losses side by side: no more of them stay than there are entries.
    if (last > entries.size + 1) this.#join(entries);
  }

  /** How many are missing before the entry at `position` that nobody has been told of. */
  before(position: number): number {
    let count = 0;
    for (let i = 0; i < this.#places.length && this.#places[i] <= position; i++)
      count += this.#counts[i];
    return count;
  }

  /** A reader is told of all that are missing before the entry at `position`. */
  tell(position: number): void {
    let told = 0;
    while (told < this.#places.length && this.#places[told] <= position)
      this.untold -= this.#counts[told++];
    this.#places.splice(0, told);
    this.#counts.splice(0, told);
  }

  #join<T>(entries: Sequence<T>): void {
    const places: number[] = [];
    const counts: number[] = [];
    for (let i = 0; i < this.#places.length; i++) {
      const last = places.length - 1;
      const next = last < 0 ? 0 : entries.seek(places[last]);
      if (last >= 0 && (next < 0 || next >= this.#places[i])) counts[last] += this.#counts[i];
      else {
        places.push(this.#places[i]);
        counts.push(this.#counts[i]);
      }
    }
    this.#places = places;
    this.#counts = counts;
  }
}
