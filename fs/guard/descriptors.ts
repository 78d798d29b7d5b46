/** The descriptors that a daemon gets from its predecessor, and those that it keeps. */
import { closeSync } from 'node:fs';

/** Descriptors by name, and the names that a holder has. */
export class Descriptors {
  readonly #got = new Map<string, number>();
  readonly #kept = new Set<string>();

  /** Adds a descriptor of the last daemon. */
  add(name: string, fd: number): void {
    const before = this.#got.get(name);
    if (before !== undefined) closeSync(before);
    this.#got.set(name, fd);
    this.#kept.add(name);
  }

  /** Removes and returns a descriptor; undefined if there is none of that name. */
  take(name: string): number | undefined {
    const fd = this.#got.get(name);
    this.#got.delete(name);
    return fd;
  }

  /** Returns a descriptor that stays here; undefined if there is none of that name. */
  get(name: string): number | undefined {
    return this.#got.get(name);
  }

  /** Returns whether the last daemon has left a descriptor of that name. */
  has(name: string): boolean {
    return this.#got.has(name);
  }

  /** Notes that the holder has a copy. */
  keep(name: string): void {
    this.#kept.add(name);
  }

  /** @returns whether the holder had a copy */
  drop(name: string): boolean {
    return this.#kept.delete(name);
  }

  /** How many copies the holder has. */
  get count(): number {
    return this.#kept.size;
  }

  /** The names of all copies that the holder has. */
  get names(): readonly string[] {
    return [...this.#kept];
  }

  /**
   * Closes the descriptors that were not taken: an outlet that the options no longer name.
   *
   * @returns their names
   */
  closeRest(): readonly string[] {
    const names = [...this.#got.keys()];
    for (const fd of this.#got.values()) closeSync(fd);
    this.#got.clear();
    return names;
  }
}
