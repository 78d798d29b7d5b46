/**
 * The levels of log messages. They are apart from the logger so that a command line can name them
 * without loading it.
 */

/** The levels, from the gravest to the least grave. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
/** The level of a message. */
export type LogLevel = (typeof LOG_LEVELS)[number];
/** The level if the user sets none. */
export const DEFAULT_LOG_LEVEL: LogLevel = 'info';
