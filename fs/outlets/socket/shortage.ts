/**
 * A shortage of descriptors or kernel memory. Polling does not report its end, so the outlet tries
 * again after a while.
 */
import { errnoText, isSystemError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';

/** The delay before the next attempt. */
const RETRY_MS = 100;

/** Logs a shortage once, and tries again until it is over. */
export class Shortage {
  #timer: NodeJS.Timeout | null = null;
  /** Whether the log has reported the present shortage. */
  #isLogged = false;

  /**
   * @param path the socket's path, for the log
   * @param retry tries again
   */
  constructor(
    private readonly path: string,
    private readonly logger: Logger,
    private readonly retry: () => void,
  ) {}

  /** Tries again after RETRY_MS. */
  retrySoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.retry();
    }, RETRY_MS);
  }

  /**
   * Logs a shortage, unless the log has it already.
   *
   * @param error the error of a system call; another error is thrown again
   */
  report(error: unknown): void {
    if (!isSystemError(error)) throw error;
    if (!this.#isLogged)
      this.logger.warn(
        `${this.path}: ${errnoText(error.errno)}: subscribers wait for descriptors or memory`,
      );
    this.#isLogged = true;
  }

  /** Notes that the shortage is over: the log reports the next one. */
  over(): void {
    this.#isLogged = false;
  }

  /** Stops the timer. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
