/**
 * Named items in order of arrival, each with a position that never changes and is never reused.
 *
 * A directory needs this: lookup by name, the first and the last item, removal anywhere, and a
 * readdir offset that stays right while other processes create and unlink files. Every operation is
 * O(1), or O(log n) from a name or a position.
 *
 * A removed item leaves a hole. Holes at the end are removed at once, the rest when they are a
 * third of the slots. An item costs its slot in two flat arrays and no object of its own, about 16
 * bytes. An index by name costs about 30 bytes an item more. It is made at the first lookup of a
 * name that is neither the first nor the last. Most queues change only at their ends and need none.
 */
import { RecyclingMap } from '../shared/recycling-map.js';

/** The most slots that a sequence keeps while it is empty: V8's arrays begin with as many. */
const MOST_SLOTS_KEPT = 16;
/**
 * The least share of the slots that have an item. V8 frees the memory behind the end of an array
 * that becomes shorter than half of its memory: the next items would have it made anew.
 */
const LEAST_SHARE = 2 / 3;

/** An ordered list that can be addressed by position and by name. */
export class Sequence<T> {
  /** Positions by name; null until the first lookup needs them. */
  #index: RecyclingMap<string, number> | null = null;
  /** Ascending; parallel to `#items`. Slots before `#start` are unused. */
  #positions: number[] = [];
  #items: (T | undefined)[] = [];
  #start = 0;
  #size = 0;
  /** The lowest position used so far; before the first item, the position that it will get. */
  #lowest: number;
  /** The position of the next item. */
  #next: number;
  /** The position of the item that `delete` has removed last; -1 before. */
  deletedPosition = -1;

  /**
   * @param nameOf returns the name of an item; without it there is an index from the start
   * @param start the position of the first item, and how many items `prepend` can add in
   *   total
   */
  constructor(
    readonly nameOf: ((item: T) => string) | null = null,
    private readonly start = 0,
  ) {
    if (nameOf === null) this.#index = new RecyclingMap();
    this.#lowest = this.#next = start;
  }

  /** How many items there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * Whether there is an index of names. Without one, no name was looked up, and no caller has found
   * two names to be the same.
   */
  get isIndexed(): boolean {
    return this.#index !== null;
  }

  /** Makes the index if there is none, and returns it. */
  index(): RecyclingMap<string, number> {
    if (this.#index !== null) return this.#index;
    const index = new RecyclingMap<string, number>();
    for (let at = this.#start; at < this.#items.length; at++) {
      const item = this.#items[at];
      if (item !== undefined) index.set(this.nameOf!(item), this.#positions[at]);
    }
    return (this.#index = index);
  }

  /** The position of the next item. All present items come before it. */
  get nextPosition(): number {
    return this.#next;
  }

  /** How many items were added at the end, ever. */
  get added(): number {
    return this.#next - this.start;
  }

  /** Returns whether there is an item called `name`. */
  has(name: string): boolean {
    return this.#find(name) >= 0;
  }

  /** Returns the item called `name`, or undefined. */
  get(name: string): T | undefined {
    const at = this.#find(name);
    return at < 0 ? undefined : this.#items[at];
  }

  /** The position of the oldest item. The sequence must not be empty. */
  get firstPosition(): number {
    return this.#positions[this.#start];
  }

  /** Returns the position of the item called `name`, which must exist. */
  positionOf(name: string): number {
    return this.#positions[this.#find(name)];
  }

  /**
   * Adds an item behind all others.
   * @param name a free name
   * @returns the item's position
   */
  push(name: string, item: T): number {
    const position = this.#next++;
    this.#index?.set(name, position);
    this.#positions.push(position);
    this.#items.push(item);
    this.#size++;
    return position;
  }

  /**
   * Adds items before all others, in their order.
   * @param names free names, in the order of `items`
   */
  prepend(names: readonly string[], items: readonly T[]): void {
    this.#lowest -= items.length;
    const positions = items.map((_, at) => this.#lowest + at);
    names.forEach((name, at) => this.#index?.set(name, positions[at]));
    this.#size += items.length;
    this.#positions = [...positions, ...this.#positions.slice(this.#start)];
    this.#items = [...items, ...this.#items.slice(this.#start)];
    this.#start = 0;
  }

  /**
   * Adds an item behind all others, at the position that it had in another daemon.
   * @param position higher than that of all other items
   */
  restore(position: number, name: string, item: T): void {
    this.#index?.set(name, position);
    if (this.#size === 0) this.#lowest = Math.min(position, this.start);
    this.#positions.push(position);
    this.#items.push(item);
    this.#size++;
    this.#next = position + 1;
  }

  /** Sets the position of the next item. Lower ones than the last item's are ignored. */
  goOnAt(position: number): void {
    this.#next = Math.max(this.#next, position);
  }

  /** Replaces the item at a position that is taken. */
  set(position: number, item: T): void {
    this.#items[this.#indexOf(position)] = item;
  }

  /**
   * Renames an item, which keeps its position.
   * @param name its name in the index
   * @param newName a free name; with `nameOf`, the item has it already
   */
  rename(name: string, newName: string): void {
    const position = this.#index?.get(name);
    if (position === undefined) return;
    this.#index!.delete(name);
    this.#index!.set(newName, position);
  }

  /** Removes and returns the item called `name`. */
  delete(name: string): T | undefined {
    const at = this.#find(name);
    if (at < 0) return undefined;
    const item = this.#items[at];
    this.deletedPosition = this.#positions[at];
    this.#items[at] = undefined;
    this.#index?.delete(name);
    this.#size--;
    this.#trim();
    return item;
  }

  /** Removes and returns the oldest item, and drops the index: no name is looked up afterwards. */
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

  /** Returns the oldest item. */
  first(): T | undefined {
    return this.#items[this.#start];
  }

  /** Returns the newest item. */
  last(): T | undefined {
    return this.#items[this.#items.length - 1];
  }

  /**
   * Returns the position of the first item at or after `position`, or -1. With `at`, a walk stays
   * right while items are added and removed.
   */
  seek(position: number): number {
    for (let index = this.#indexOf(position); index < this.#items.length; index++) {
      if (this.#items[index] !== undefined) return this.#positions[index];
    }
    return -1;
  }

  /** Returns the item at a position, or undefined if it is gone. */
  at(position: number): T | undefined {
    const index = this.#indexOf(position);
    return this.#positions[index] === position ? this.#items[index] : undefined;
  }

  /** Iterates over the items, oldest first. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let index = this.#start; index < this.#items.length; index++) {
      const item = this.#items[index];
      if (item !== undefined) yield item;
    }
  }

  /** Removes all items. The next item gets the next position, as before. */
  clear(): void {
    this.#positions = [];
    this.#items = [];
    this.#start = this.#size = 0;
    this.#clearIndex();
  }

  #clearIndex(): void {
    if (this.nameOf === null) this.#index!.clear();
    else this.#index = null;
  }

  /** Returns the slot of the item called `name`, or -1. Most lookups are of an item at an end. */
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

  /** Returns the first slot whose position is at least `position`. */
  #indexOf(position: number): number {
    const positions = this.#positions;
    let low = this.#start;
    let high = positions.length;
    if (low === high) return high;
    // Without holes the slot follows from the position.
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
    const keepsMemory = items.length <= MOST_SLOTS_KEPT;
    if (this.#size === 0 && keepsMemory) this.#clearIndex();
    else if (this.#size === 0) this.clear();
    else if (!keepsMemory && this.#size < items.length * LEAST_SHARE) this.#compact();
  }

  /** Moves the items to the beginning of their arrays: new arrays would soon be garbage. */
  #compact(): void {
    const positions = this.#positions;
    const items = this.#items;
    let to = 0;
    for (let from = this.#start; from < items.length; from++) {
      const item = items[from];
      if (item === undefined) continue;
      positions[to] = positions[from];
      items[to++] = item;
    }
    positions.length = items.length = to;
    this.#start = 0;
  }
}
