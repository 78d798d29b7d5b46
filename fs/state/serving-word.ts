/**
 * One word in the header of the state, by which two daemons agree on the one that serves if the
 * guardian is killed between SERVE and QUIT. Both then see the end of their sockets, and each could
 * go on. An atomic exchange lets one of them.
 */

/** The offset of the word in the header, in bytes. Zero is `serving`. */
const AT = 80;
const Value = { serving: 0, yielded: 1, takenBack: 2 } as const;

/** The word of one state. */
export class ServingWord {
  readonly #word: Int32Array;

  /** @param bytes the memory of the state */
  constructor({ buffer, byteOffset }: Uint8Array) {
    this.#word = new Int32Array(buffer, byteOffset + AT, 1);
  }

  /** Lets the next daemon take over from now on. Called by the daemon that serves. */
  yield(): void {
    Atomics.store(this.#word, 0, Value.yielded);
  }

  /**
   * Serves again, without a message of the guardian. Called by the daemon that has yielded.
   * @returns false if the next one has taken over
   */
  takeBack(): boolean {
    const found = Atomics.compareExchange(this.#word, 0, Value.yielded, Value.takenBack);
    return found === Value.yielded;
  }

  /**
   * Takes over. Called by the next daemon.
   * @returns false if the old one has taken the mount back
   */
  takeOver(): boolean {
    const found = Atomics.compareExchange(this.#word, 0, Value.yielded, Value.serving);
    return found !== Value.takenBack;
  }
}
