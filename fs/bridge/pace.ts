/** How much the broker takes: this host learns it from the broker's refusals. */
import type { Logger } from '../shared/log/logger.js';
import type { Connection } from './mqtt/connection.js';
import { backoffMs } from './mqtt/link.js';
import { PACKET_TOO_LARGE, isTemporary, reasonText } from './mqtt/reasons.js';
import type { Message, MessageLimits } from './protocol/history.js';

/** A record of a loss must fit in each message. */
const LEAST_BYTES = 256;

/** The bounds and the pauses of the messages to one broker. */
export class Pace {
  /** Whether nothing is to be sent now. */
  isPaused = false;
  #most = Infinity;
  #largest = Infinity;
  #refusals = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param resume called when a pause is over */
  constructor(
    private readonly logger: Logger,
    private readonly resume: () => void,
  ) {}

  /** Forgets what another connection has taught. */
  reset(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.isPaused = false;
    this.#most = Infinity;
    this.#largest = Infinity;
    this.#refusals = 0;
  }

  /** Returns the bounds of a message that the broker takes too. */
  limits({ mostPayload }: Connection, { bytes, largest, events }: MessageLimits): MessageLimits {
    return {
      bytes: Math.min(bytes, mostPayload, this.#most),
      largest: Math.min(largest, mostPayload, this.#largest),
      events,
    };
  }

  /** Notes that the broker has taken a message. */
  taken(): void {
    this.#refusals = 0;
  }

  /**
   * Notes that the broker has refused a message.
   *
   * @returns whether the message is to be sent again, as other messages or later
   */
  refused(code: number, message: Message): boolean {
    const isAgain = this.#learn(code, message);
    if (isAgain && this.#refusals++ === 0)
      this.logger.warn(`the broker refuses a message: ${reasonText(code)}`);
    return isAgain;
  }

  #learn(code: number, { records, payload }: Message): boolean {
    if (code === PACKET_TOO_LARGE) {
      if (payload.length <= LEAST_BYTES) return false;
      // Many events become several messages; one event that is too large becomes a loss.
      if (records > 1) this.#most = Math.min(this.#most, payload.length / 2);
      else this.#largest = Math.min(this.#largest, payload.length - 1);
      return true;
    }
    if (isTemporary(code)) this.#pause();
    return isTemporary(code);
  }

  #pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.#timer = setTimeout(() => {
      this.isPaused = false;
      this.resume();
    }, backoffMs(this.#refusals));
  }
}
