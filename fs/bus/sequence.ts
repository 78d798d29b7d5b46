/**
 * Names in order of arrival, each with a position that never changes and is never given again.
 *
 * That is what a directory needs: lookup by name, the first and the last, removal anywhere, and a readdir offset that
 * stays right while others create and unlink. Every operation is O(1), or O(log n) from a name or a position.
 *
 * A removed item leaves a hole; holes at either end go at once, and the rest when they outnumber the items. A link costs its
 * slot in two flat structures and no object of its own, about 16 bytes; and about 30 more in an index by name, which is made
 * when somebody asks for a name that is neither the first nor the last. Most queues are only added to and taken from at their ends.
 */
import { RecyclingMap } from '../shared/recycling-map.js';

export class Sequence<T> {
  /** Positions by name; null until they are asked for. */
  #index: RecyclingMap<string, number> | null = null;
  /** Ascending; parallel to `#items`. What stands before `#start` is gone. */
  #positions: number[] = [];
  #items: (T | undefined)[] = [];
  #start = 0;
  #size = 0;
  /** The lowest position that was ever given, or will be first. */
  #lowest: number;
  #next: number;

  /**
   * @param nameOf the name of an item; without it there is an index from the start
   * @param firstPosition what the first item gets; so many items may be put before all others in the course of time
   */
  constructor(
    readonly nameOf: ((item: T) => string) | null = null,
    firstPosition = 0,
  ) {
    if (nameOf === null) this.#index = new RecyclingMap();
    this.#lowest = this.#next = firstPosition;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether names are looked up in an index. Without one nobody has asked for a name, and nobody has seen two that are alike. */
  get isIndexed(): boolean {
    return this.#index !== null;
  }

  /** Makes the index, where there is none. */
  index(): RecyclingMap<string, number> {
    if (this.#index !== null) return this.#index;
    const index = new RecyclingMap<string, number>();
    for (let at = this.#start; at < this.#items.length; at++) {
      const item = this.#items[at];
      if (item !== undefined) index.set(this.nameOf!(item), this.#positions[at]);
    }
    return (this.#index = index);
  }

  /** The position that the next item will get; everything there is now comes before it. */
  get nextPosition(): number {
    return this.#next;
  }

  has(name: string): boolean {
    return this.#find(name) >= 0;
  }

  get(name: string): T | undefined {
    const at = this.#find(name);
    return at < 0 ? undefined : this.#items[at];
  }

  /** The position of the oldest item, which there must be. */
  get firstPosition(): number {
    return this.#positions[this.#start];
  }

  /** The position of the item called `name`, which there must be. */
  positionOf(name: string): number {
    return this.#positions[this.#find(name)];
  }

  /** Adds `item` behind all others. The name must be free. */
  push(name: string, item: T): number {
    const position = this.#next++;
    this.#index?.set(name, position);
    this.#positions.push(position);
    this.#items.push(item);
    this.#size++;
    return position;
  }

  /** Adds items before all others, in their order. The names must be free. */
  prepend(names: readonly string[], items: readonly T[]): void {
    this.#lowest -= items.length;
    const positions = items.map((_, at) => this.#lowest + at);
    names.forEach((name, at) => this.#index?.set(name, positions[at]));
    this.#size += items.length;
    this.#positions = [...positions, ...this.#positions.slice(this.#start)];
    this.#items = [...items, ...this.#items.slice(this.#start)];
    this.#start = 0;
  }

  /** Puts `item` at a position that is taken. */
  set(position: number, item: T): void {
    this.#items[this.#indexOf(position)] = item;
  }

  /** Calls the item called `name` something else that is free; it keeps its position. With `nameOf`, it is called so already. */
  rename(name: string, newName: string): void {
    const position = this.#index?.get(name);
    if (position === undefined) return;
    this.#index!.delete(name);
    this.#index!.set(newName, position);
  }

  /** Removes and gives the item called `name`. */
  delete(name: string): T | undefined {
    const at = this.#find(name);
    if (at < 0) return undefined;
    const item = this.#items[at];
    this.#items[at] = undefined;
    this.#index?.delete(name);
    this.#size--;
    this.#trim();
    return item;
  }

  /** Removes and returns the oldest item, and forgets all names: none is looked up from then on. */
  shift(): T | undefined {
    if (this.#index !== null && this.#index.size > 0)
      this.#index = this.nameOf === null ? new RecyclingMap() : null;
    const item = this.#items[this.#start];
    if (item === undefined) return undefined;
    this.#items[this.#start] = undefined;
    this.#size--;
    this.#trim();
    return item;
  }

  /** The oldest item. */
  first(): T | undefined {
    return this.#items[this.#start];
  }

  /** The newest item. */
  last(): T | undefined {
    return this.#items[this.#items.length - 1];
  }

  /** The position of the first item at or after `position`, or -1: with `at`, a walk that survives any change. */
  seek(position: number): number {
    for (let index = this.#indexOf(position); index < this.#items.length; index++) {
      if (this.#items[index] !== undefined) return this.#positions[index];
    }
    return -1;
  }

  /** The item at a position, or undefined when it has gone. */
  at(position: number): T | undefined {
    const index = this.#indexOf(position);
    return this.#positions[index] === position ? this.#items[index] : undefined;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let index = this.#start; index < this.#items.length; index++) {
      const item = this.#items[index];
      if (item !== undefined) yield item;
    }
  }

  clear(): void {
    this.#positions = [];
    this.#items = [];
    this.#start = this.#size = 0;
    if (this.nameOf === null) this.#index!.clear();
    else this.#index = null;
  }

  /** Which slot the item called `name` is in, or -1. The ends are looked at first: that is where most are asked for. */
  #find(name: string): number {
    const { nameOf } = this;
    if (this.#size === 0) return -1;
    if (nameOf !== null) {
      const last = this.#items.length - 1;
      if (nameOf(this.#items[this.#start]!) === name) return this.#start;
      if (nameOf(this.#items[last]!) === name) return last;
    }
    const position = this.index().get(name);
    return position === undefined ? -1 : this.#indexOf(position);
  }

  /** The first slot whose position is at least `position`. */
  #indexOf(position: number): number {
    const positions = this.#positions;
    let low = this.#start;
    let high = positions.length;
    if (low === high) return high;
    // Without holes the index is known.
    const guess = low + position - positions[low];
    if (guess >= low && guess < high && positions[guess] === position) return guess;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (positions[middle] < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #trim(): void {
    const items = this.#items;
    while (items.length > this.#start && items[items.length - 1] === undefined) {
      items.pop();
      this.#positions.pop();
    }
    while (this.#start < items.length && items[this.#start] === undefined) this.#start++;
    if (this.#size === 0) this.clear();
    else if (items.length > 32 && this.#size < items.length / 2) this.#compact();
  }

  #compact(): void {
    const positions: number[] = [];
    const items: (T | undefined)[] = [];
    for (let index = this.#start; index < this.#items.length; index++) {
      if (this.#items[index] === undefined) continue;
      positions.push(this.#positions[index]);
      items.push(this.#items[index]);
    }
    this.#positions = positions;
    this.#items = items;
    this.#start = 0;
  }
}
