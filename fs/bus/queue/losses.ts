/**
 * The places in a queue where events are missing, and how many. Each loss keeps its place among the
 * events until a reader is told. Two losses become one when no event is left between them.
 */
import type { Sequence } from '../sequence.js';

/** A queue's losses, by position. */
export class Losses {
  /** How many lost events no reader has been told of. */
  untold = 0;
  /** Ascending positions. A loss comes before all entries at or after it. Parallel to `#counts`. */
  #places: number[] = [];
  #counts: number[] = [];
  /**
   * The text of all losses but the first and the last; null if it is to be made anew. A user may
   * have hundreds of queues with hundreds of losses each, and each event may add one to all.
   */
  #middle: string | null = null;

  /** The number of places at which events are missing. */
  get size(): number {
    return this.#places.length;
  }

  /**
   * Notes that events before all entries are lost.
   * @param position the position of the oldest entry: the one that was dropped, or the one behind
   *   the loss
   * @param count how many events
   */
  atHead(position: number, count: number): void {
    this.untold += count;
    if (this.#places.length > 0 && this.#places[0] <= position) this.#counts[0] += count;
    else {
      if (this.#middle !== null && this.#places.length > 1)
        this.#middle = `${this.#textOf(0)} ${this.#middle}`;
      this.#places.unshift(position);
      this.#counts.unshift(count);
    }
  }

  /**
   * Notes that events behind the newest entry are lost.
   * @param entries the queue's entries
   * @param count how many events
   */
  atEnd<T>(entries: Sequence<T>, count: number): void {
    this.untold += count;
    const last = this.#places.length - 1;
    if (last >= 0 && entries.seek(this.#places[last]) < 0) this.#counts[last] += count;
    else {
      if (this.#middle !== null && last > 0) this.#middle += `${this.#textOf(last)} `;
      this.#places.push(entries.nextPosition);
      this.#counts.push(count);
    }
    // If entries between two losses are unlinked, the losses are adjacent. Joining them bounds
    // their number by the number of entries.
    if (last > entries.size + 1) this.#join(entries);
  }

  /**
   * Returns how many events are missing before the entry at `position` that no reader has been told
   * of.
   */
  before(position: number): number {
    let count = 0;
    for (let i = 0; i < this.#places.length && this.#places[i] <= position; i++)
      count += this.#counts[i];
    return count;
  }

  /** Forgets the losses before the entry at `position`: a reader is told of them. */
  tell(position: number): void {
    let told = 0;
    while (told < this.#places.length && this.#places[told] <= position)
      this.untold -= this.#counts[told++];
    this.#middle = null;
    this.#places.splice(0, told);
    this.#counts.splice(0, told);
  }

  /** Returns the losses as text: `position count ...`. */
  toText(): string {
    const last = this.#places.length - 1;
    if (last < 0) return '';
    if (last === 0) return this.#textOf(0);
    this.#middle ??= this.#textBetween(last);
    return `${this.#textOf(0)} ${this.#middle}${this.#textOf(last)}`;
  }

  #textOf(n: number): string {
    return `${this.#places[n]} ${this.#counts[n]}`;
  }

  #textBetween(last: number): string {
    let text = '';
    for (let n = 1; n < last; n++) text += `${this.#textOf(n)} `;
    return text;
  }

  /** Restores losses from a text of `toText`. */
  restore(text: string): void {
    if (text === '') return;
    this.#middle = null;
    const numbers = text.split(' ').map(Number);
    for (let i = 0; i < numbers.length; i += 2) {
      this.#places.push(numbers[i]);
      this.#counts.push(numbers[i + 1]);
      this.untold += numbers[i + 1];
    }
  }

  /** Joins losses that have no entry between them. */
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
    this.#middle = null;
    this.#places = places;
    this.#counts = counts;
  }
}
