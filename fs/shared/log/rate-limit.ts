/** Limits the rate of log messages, so that many failures at once do not fill the log. */
import type { Logger } from './logger.js';

const MOST_AT_ONCE = 50;
const WINDOW_MS = 10_000;

/**
 * Wraps a logger: at most MOST_AT_ONCE messages pass in WINDOW_MS. At the end of that time the
 * wrapper logs how many messages it dropped. All messages of level debug pass, because the user has
 * asked for them.
 */
export function rateLimited(logger: Logger): Logger {
  let windowStartMs = -Infinity;
  let said = 0;
  let kept = 0;
  const sayKept = (): void => {
    if (kept > 0)
      logger.warn(
        `the log dropped ${kept} messages: more than ${MOST_AT_ONCE} in ${WINDOW_MS / 1000} s`,
      );
    kept = 0;
  };
  const passes = (): boolean => {
    const nowMs = performance.now();
    if (nowMs - windowStartMs >= WINDOW_MS) {
      sayKept();
      windowStartMs = nowMs;
      said = 0;
    }
    if (said < MOST_AT_ONCE) {
      said++;
      return true;
    }
    if (kept++ === 0) setTimeout(sayKept, windowStartMs + WINDOW_MS - nowMs).unref();
    return false;
  };
  return {
    error: (message, error) => passes() && logger.error(message, error),
    warn: (message) => passes() && logger.warn(message),
    info: (message) => passes() && logger.info(message),
    debug: (message) => logger.debug(message),
  };
}
