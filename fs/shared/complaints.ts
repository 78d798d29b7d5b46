/** What the daemon says on stderr, one line each. A storm of the same does not fill the log. */

/** Where warnings and unexpected errors are said, one line each. */
export type Complain = (message: string) => void;

const MOST_AT_ONCE = 50;
const WINDOW_MS = 10_000;

/** Passes on at most MOST_AT_ONCE complaints a window, and then says how many there were that it did not. */
export function sparing(complain: Complain): Complain {
  let windowStartMs = 0;
  let said = 0;
  let kept = 0;
  return (message) => {
    const nowMs = Date.now();
    if (nowMs - windowStartMs >= WINDOW_MS) {
      if (kept > 0) complain(`${kept} more complaints were not shown`);
      windowStartMs = nowMs;
      said = kept = 0;
    }
    if (said < MOST_AT_ONCE) {
      said++;
      complain(message);
    } else kept++;
  };
}
