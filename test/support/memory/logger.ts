/** A logger whose messages a test can read. */
import type { Logger } from '../../../fs/shared/log/logger.js';

/** Returns a logger that appends each message, except of level debug, to `messages`. */
export function collecting(messages: string[]): Logger {
  const add = (message: string): void => void messages.push(message);
  return {
    error: (message, error: unknown) =>
      add(
        error === undefined
          ? message
          : `${message}: ${error instanceof Error ? String(error) : 'what is no Error'}`,
      ),
    warn: add,
    info: add,
    debug: () => undefined,
  };
}
