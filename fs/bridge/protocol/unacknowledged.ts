/** The messages that the broker has not acknowledged, in the order of their numbers. */

/** A message. */
export interface Unacknowledged {
  /** The number behind its last event. */
  readonly end: number;
  isDone: boolean;
}

/** All of them. */
export class UnacknowledgedMessages {
  #list: Unacknowledged[] = [];

  /** Adds a message behind the others. @param end the number behind its last event */
  add(end: number): Unacknowledged {
    const message = { end, isDone: false };
    this.#list.push(message);
    return message;
  }

  /** Tells whether a message waits: it does not if {@link clear} has removed it. */
  has(message: Unacknowledged): boolean {
    return this.#list.includes(message);
  }

  /**
   * Notes that the broker has a message.
   *
   * @returns the number up to which it has all events, that one excluded; 0 if that is as before
   */
  done(message: Unacknowledged): number {
    message.isDone = true;
    let end = 0;
    while (this.#list[0]?.isDone) end = this.#list.shift()!.end;
    return end;
  }

  /** Forgets all: their events are sent again. */
  clear(): void {
    this.#list = [];
  }
}
