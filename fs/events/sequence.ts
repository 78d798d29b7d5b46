/**
 * Names in order of arrival, each with a position that never changes and is never given again.
 *
 * That is what a directory needs: lookup by name, the first and the last, removal anywhere, and a readdir offset that
 * stays right while others create and unlink. Every operation is O(1), or O(log n) from a name or a position.
 *
 * A removed item leaves a hole; holes at either end go at once, and the rest when they outnumber the items. A link
 * costs its slot in three flat structures, about 45 bytes, and no object of its own.
 */
export class Sequence<T> {
  readonly #positionOf = new Map<string, number>();
  /** Ascending; parallel to `#items`. What stands before `#start` is gone. */
  #positions: number[] = [];
  #items: (T | undefined)[] = [];
  #start = 0;
  /** The lowest position that was ever given, or will be first. */
  #lowest: number;
  #next: number;

  /** @param firstPosition what the first item gets; so many items may be put before all others in the course of time */
  constructor(firstPosition = 0) {
    this.#lowest = this.#next = firstPosition;
  }

  get size(): number {
    return this.#positionOf.size;
  }

  /** The position that the next item will get; everything there is now comes before it. */
  get nextPosition(): number {
    return this.#next;
  }

  has(name: string): boolean {
    return this.#positionOf.has(name);
  }

  get(name: string): T | undefined {
    const position = this.#positionOf.get(name);
    return position === undefined ? undefined : this.#items[this.#indexOf(position)];
  }

  /** The position of the oldest item, which there must be. */
  get firstPosition(): number {
    return this.#positions[this.#start];
  }

  /** The position of the item called `name`, which there must be. */
  positionOf(name: string): number {
    return this.#positionOf.get(name)!;
  }

  /** Adds `item` behind all others. The name must be free. */
  push(name: string, item: T): number {
    const position = this.#next++;
    this.#positionOf.set(name, position);
    this.#positions.push(position);
    this.#items.push(item);
    return position;
  }

  /** Adds items before all others, in their order. The names must be free. */
  prepend(names: readonly string[], items: readonly T[]): void {
    this.#lowest -= items.length;
    const positions = items.map((_, index) => this.#lowest + index);
    names.forEach((name, index) => this.#positionOf.set(name, positions[index]));
    this.#positions = [...positions, ...this.#positions.slice(this.#start)];
    this.#items = [...items, ...this.#items.slice(this.#start)];
    this.#start = 0;
  }

  /** Puts `item` where the item called `name` is. */
  replace(name: string, item: T): void {
    const position = this.#positionOf.get(name);
    if (position !== undefined) this.#items[this.#indexOf(position)] = item;
  }

  /** Calls the item called `name` something else that is free; it keeps its position. */
  rename(name: string, newName: string): void {
    const position = this.#positionOf.get(name);
    if (position === undefined) return;
    this.#positionOf.delete(name);
    this.#positionOf.set(newName, position);
  }

  /** Removes and gives the item called `name`. */
  delete(name: string): T | undefined {
    const position = this.#positionOf.get(name);
    if (position === undefined) return undefined;
    this.#positionOf.delete(name);
    const index = this.#indexOf(position);
    const item = this.#items[index];
    this.#items[index] = undefined;
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

  /** The item at a position that `seek` gave. */
  at(position: number): T | undefined {
    return this.#items[this.#indexOf(position)];
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let index = this.#start; index < this.#items.length; index++) {
      const item = this.#items[index];
      if (item !== undefined) yield item;
    }
  }

  clear(): void {
    this.#positionOf.clear();
    this.#positions = [];
    this.#items = [];
    this.#start = 0;
  }

  /** The index of the first slot whose position is at least `position`. */
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
    if (items.length > 32 && this.#positionOf.size < items.length / 2) this.#compact();
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
