/** A logger whose messages a test looks at. */
import type { Logger } from '../../fs/shared/logger.js';

/** Puts each message, but for those of level debug, into a list. */
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
