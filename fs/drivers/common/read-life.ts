/** How long a read may block where the kernel limits the age of requests. */
import { UserError } from '../../shared/errors.js';
import {
  DEFAULT_TIMEOUT,
  LONGEST_TIMEOUT_S,
  MAX_TIMEOUT,
  type RequestTimeouts,
  limitFor,
} from '../../shared/kernel/request-timeout.js';
import type { Logger } from '../../shared/log/logger.js';

/**
 * The time from the end of a blocked read to the kernel's limit, in seconds. The request is older
 * than the daemon knows: it may have waited while the daemon was busy or stopped.
 */
const MARGIN_S = 30;
/** The shortest limit that the daemon accepts: half of it is left for a read to block. */
const SHORTEST_LIMIT_S = 2 * MARGIN_S;

/** How long the reads of a connection may block, and why. */
export interface ReadLife {
  /** The limit to ask for in the reply to INIT, in seconds; 0 for none. */
  readonly asked: number;
  /** The kernel's limit, in seconds; 0 for none. */
  readonly limit: number;
  /** How long a read may block, in milliseconds; 0 for any time. */
  readonly ms: number;
}

/** Reads block for any time. */
export const ENDLESS: ReadLife = { asked: 0, limit: 0, ms: 0 };

/**
 * Chooses what to ask the kernel for, and how long reads may block. A daemon that asks for the
 * longest limit is not bound by the default one. Without any limit it asks for none: the kernel
 * then looks for no old requests.
 *
 * @param timeouts the sysctls
 * @param canAsk whether the driver sends the reply to INIT itself
 * @param marginS see MARGIN_S; a test has a larger one
 * @throws UserError if reads could not block for 30 s
 */
export function readLife(
  timeouts: RequestTimeouts,
  canAsk: boolean,
  marginS = Number(process.env.EVENTFS_READ_MARGIN ?? MARGIN_S),
): ReadLife {
  const hasLimit = timeouts.byDefault !== 0 || timeouts.max !== 0;
  if (!hasLimit) return ENDLESS;
  const asked = canAsk ? LONGEST_TIMEOUT_S : 0;
  const limit = limitFor(timeouts, asked);
  if (limit < SHORTEST_LIMIT_S) {
    const name = timeouts.max === limit || canAsk ? MAX_TIMEOUT : DEFAULT_TIMEOUT;
    throw new UserError(
      `the kernel ends a mount whose request is ${limit} s old, and reads that wait for events need at least ${SHORTEST_LIMIT_S} s (try sysctl ${name}=0, or ${SHORTEST_LIMIT_S} or more)`,
    );
  }
  return { asked, limit, ms: (limit - marginS) * 1000 };
}

/** Warns that blocked reads end before the kernel's limit, unless that is hours away. */
export function warnOfLife({ limit, ms }: ReadLife, logger: Logger): void {
  if (limit === 0 || limit === LONGEST_TIMEOUT_S) return;
  logger.warn(
    `the kernel allows a request ${limit} s (${MAX_TIMEOUT}), so a read that waits for events fails with EINTR after ${ms / 1000} s (docs/debugging.md lists the programs that do not repeat it)`,
  );
}
