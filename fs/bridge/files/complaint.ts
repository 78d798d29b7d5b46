/** A message that would be logged again and again. */
import type { Logger } from '../../shared/log/logger.js';

/** Logs a message once, until the matter is right again or the reason changes. */
export class Complaint {
  #last = '';

  constructor(private readonly logger: Logger) {}

  /** Logs the message, if it is not that of the last call. */
  says(message: string): void {
    if (message !== this.#last) this.logger.warn(message);
    this.#last = message;
  }

  /** Notes that the matter is right again. */
  ends(): void {
    this.#last = '';
  }
}
