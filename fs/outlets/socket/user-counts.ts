/** The number of connections of each user. */
export class UserCounts {
  readonly #counts = new Map<number, number>();

  /**
   * Counts a connection of a user.
   *
   * @returns how many the user had before
   */
  add(uid: number): number {
    const others = this.#counts.get(uid) ?? 0;
    this.#counts.set(uid, others + 1);
    return others;
  }

  /** Counts the end of a connection of a user. */
  remove(uid: number): void {
    const left = this.#counts.get(uid)! - 1;
    if (left === 0) this.#counts.delete(uid);
    else this.#counts.set(uid, left);
  }
}
