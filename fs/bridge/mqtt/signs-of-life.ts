/**
 * Tells whether a broker still answers. A broker answers in order: a pong or an acknowledgement
 * comes behind all messages that it has sent before, and these may take longer than a keep-alive
 * time. So bytes of any kind are a sign of life, and an acknowledgement is late only if the broker
 * has answered a later ping.
 */

/** The signs of life of one connection. Times are of a monotonic clock, in ms. */
export class SignsOfLife {
  /** Whether the broker has said nothing since the last ping. */
  #isSilent = false;
  /** When each ping was sent that has no answer, the oldest first. */
  readonly #pings: number[] = [];
  /** When the last ping was sent that has its answer. */
  #answeredMs = -Infinity;

  /** Notes that bytes of the broker have come. */
  heard(): void {
    this.#isSilent = false;
  }

  /** Notes that a ping is sent. */
  pinged(nowMs: number): void {
    this.#isSilent = true;
    this.#pings.push(nowMs);
  }

  /** Notes that the oldest ping has its answer. */
  ponged(): void {
    this.#answeredMs = this.#pings.shift() ?? this.#answeredMs;
  }

  /**
   * Tells whether the broker is dead. To be asked before each ping.
   *
   * @param ageMs how long the oldest message waits for its acknowledgement, in ms
   * @param mostMs how long it may, if the broker answers what came after it, in ms
   */
  isDead(nowMs: number, ageMs: number, mostMs: number): boolean {
    return this.#isSilent || (ageMs > mostMs && nowMs - ageMs < this.#answeredMs);
  }
}
