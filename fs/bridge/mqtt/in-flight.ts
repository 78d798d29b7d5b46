/** The packets of a connection that wait for the broker's acknowledgement. */

const MOST_ID = 65_535;

/** A packet that waits for its acknowledgement. */
interface Sent {
  readonly topic: string;
  /** Whether it is a message: the broker bounds how many of these wait. */
  readonly isMessage: boolean;
  readonly sentMs: number;
  readonly done: () => void;
  /** Called instead of `done` if the broker refuses; without it, a refusal ends the connection. */
  readonly refused: ((code: number) => void) | undefined;
}

/** The packets in flight, by their numbers. */
export class InFlight {
  readonly #sent = new Map<number, Sent>();
  #id = 0;
  #messages = 0;

  /** How many packets wait. */
  get size(): number {
    return this.#sent.size;
  }

  /** How many messages wait. */
  get messages(): number {
    return this.#messages;
  }

  /** Returns how long the oldest packet waits, in ms. */
  ageMs(nowMs: number): number {
    for (const { sentMs } of this.#sent.values()) return nowMs - sentMs;
    return 0;
  }

  /** Adds a packet. @returns its number */
  add(sent: Sent): number {
    do this.#id = (this.#id % MOST_ID) + 1;
    while (this.#sent.has(this.#id));
    this.#sent.set(this.#id, sent);
    if (sent.isMessage) this.#messages++;
    return this.#id;
  }

  /** Removes the packet with this number. @returns undefined if there is none */
  remove(id: number | undefined): Sent | undefined {
    const sent = this.#sent.get(id ?? 0);
    if (sent === undefined) return undefined;
    this.#sent.delete(id!);
    if (sent.isMessage) this.#messages--;
    return sent;
  }
}
