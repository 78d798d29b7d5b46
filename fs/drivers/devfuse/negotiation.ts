/** Waits for the negotiation of INIT, which the kernel sends once a filesystem is mounted. */
import type { Session } from '../../fuse/session.js';
import { UserError } from '../../shared/errors.js';
import { INIT_TIMEOUT_MS, noInit } from '../common/mount-point.js';

/** A negotiation without a result yet. */
interface Negotiating {
  /** Resolves once the kernel and the daemon agree; rejects with a UserError. */
  readonly done: Promise<void>;
  /** Notes that the connection has ended. */
  ended(): void;
}

/**
 * Lets the session negotiate.
 *
 * @param path the mount point, for messages
 * @param needsResend whether a kernel that can't send requests again is unsuitable
 * @param onRingOffered returns whether the driver accepts io_uring
 */
export function negotiate(
  session: Session,
  path: string,
  needsResend: boolean,
  onRingOffered: () => boolean,
): Negotiating {
  let fail: (error: UserError) => void;
  const done = new Promise<void>((agreed, failed) => {
    const late = setTimeout(() => failed(noInit(path)), INIT_TIMEOUT_MS);
    fail = (error) => {
      clearTimeout(late);
      failed(error);
    };
    session.init.attach({
      onNegotiated: () => {
        clearTimeout(late);
        agreed();
      },
      onUnsuitable: (why) => fail(new UserError(`${path}: ${why}`)),
      onRingOffered,
      needsResend,
    });
  });
  return {
    done,
    ended: () =>
      fail(new UserError(`${path}: the kernel ended the connection before INIT (try again)`)),
  };
}
