/**
 * This host's state as the broker has it. One message at a time: each call of another host asks for
 * the state again, and a broker may bring any number of calls and acknowledge nothing.
 */
export class SaidState {
  /** The state that was published last. */
  #said = '';
  /** Whether it waits for its acknowledgement. */
  #isWaiting = false;
  /** Whether the state is to be published again then. */
  #isAgain = false;
  #isGone = false;

  /** Prepares for a new connection. */
  reset(): void {
    this.#said = '';
    this.#isWaiting = this.#isAgain = false;
  }

  /**
   * Tells whether to publish a state now.
   *
   * @param isAgain whether the broker gets it even if it has it
   */
  say(state: string, isAgain: boolean): boolean {
    if (this.#isGone || (state === this.#said && !isAgain)) return false;
    if (this.#isWaiting) {
      this.#isAgain = true;
      return false;
    }
    this.#said = state;
    this.#isWaiting = true;
    return true;
  }

  /** Notes that the broker has the state. @returns whether to publish it again */
  taken(): boolean {
    const isAgain = this.#isAgain;
    this.#isWaiting = this.#isAgain = false;
    return isAgain;
  }

  /** Notes that the broker has refused the state for now. */
  refused(): void {
    this.reset();
  }

  /** Says nothing more: the host is gone. A later state would bring it back for ever. */
  end(): void {
    this.#isGone = true;
  }
}
