/**
 * A map for keys that come back after a deletion, such as the name and the PID of a process that
 * creates and removes its directory.
 *
 * A key that is deleted from V8's Map stays in its hash chain until the table is full. If a program
 * adds and deletes the same key again and again among 10,000 others, each lookup passes thousands
 * of dead entries of that key. This map keeps a deleted key's entry for the next time, until there
 * are as many deleted entries as live ones.
 */
/** The number of deletions, beyond the number of live keys, that a map allows before a sweep. */
const FEW = 16;

/** The subset of Map's methods that the daemon needs. A value must not be null or undefined. */
export class RecyclingMap<K, V extends NonNullable<unknown>> {
  /** A deleted key has the value undefined. */
  #entries = new Map<K, V | undefined>();
  #size = 0;
  /** The number of deletions since the last sweep. */
  #deletions = 0;

  /** The number of keys that are not deleted. */
  get size(): number {
    return this.#size;
  }

  /** @returns undefined if the key is not there */
  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** Adds a key, or replaces its value. */
  set(key: K, value: V): void {
    if (this.#entries.get(key) === undefined) this.#size++;
    this.#entries.set(key, value);
  }

  /**
   * Deletes a key but keeps its entry.
   *
   * @returns whether the key was there
   */
  delete(key: K): boolean {
    if (this.#entries.get(key) === undefined) return false;
    this.#entries.set(key, undefined);
    this.#size--;
    if (++this.#deletions > FEW + this.#size) this.#sweep();
    return true;
  }

  /** Iterates over the values of all keys that are not deleted. */
  *values(): IterableIterator<V> {
    for (const value of this.#entries.values()) if (value !== undefined) yield value;
  }

  /** Removes all keys and all deleted entries. */
  clear(): void {
    this.#entries.clear();
    this.#size = this.#deletions = 0;
  }

  /** Drops the entries of all deleted keys. */
  #sweep(): void {
    const kept = new Map<K, V | undefined>();
    for (const [key, value] of this.#entries) if (value !== undefined) kept.set(key, value);
    this.#entries = kept;
    this.#deletions = 0;
  }
}
