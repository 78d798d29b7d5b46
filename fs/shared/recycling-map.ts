/**
 * A map for keys that go and come again, as the name and the PID of a process that makes and removes its directory.
 *
 * What is deleted from V8's Map stays in its hash chain until the table is full. The same key, added and deleted again and again among
 * 10,000 others, is thus looked for behind thousands of its own dead entries. Here a deleted key keeps its entry, for when it
 * comes again, until there are as many of these as live ones.
 */
const FEW = 16;

export class RecyclingMap<K, V extends NonNullable<unknown>> {
  /** Deleted keys have undefined. */
  #entries = new Map<K, V | undefined>();
  #size = 0;
  /** How often a key was deleted since those that are were let go of. */
  #deletions = 0;

  get size(): number {
    return this.#size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  set(key: K, value: V): void {
    if (this.#entries.get(key) === undefined) this.#size++;
    this.#entries.set(key, value);
  }

  /** False when it was not there. */
  delete(key: K): boolean {
    if (this.#entries.get(key) === undefined) return false;
    this.#entries.set(key, undefined);
    this.#size--;
    if (++this.#deletions > FEW + this.#size) this.#sweep();
    return true;
  }

  *values(): IterableIterator<V> {
    for (const value of this.#entries.values()) if (value !== undefined) yield value;
  }

  clear(): void {
    this.#entries.clear();
    this.#size = this.#deletions = 0;
  }

  #sweep(): void {
    const kept = new Map<K, V | undefined>();
    for (const [key, value] of this.#entries) if (value !== undefined) kept.set(key, value);
    this.#entries = kept;
    this.#deletions = 0;
  }
}
