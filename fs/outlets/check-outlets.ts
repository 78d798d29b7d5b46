/** Checks whether outlets could be opened, without opening them: for `eventfs mount --check`. */
import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { UserError, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import type { FilterLimits } from '../uevent/filter/limits.js';
import { FifodirOutlet } from './fifodir.js';
import { findSocket } from './listener.js';
import { NetlinkOutlet } from './netlink.js';
import type { Namespace } from './netns/namespace.js';
import { NetnsOutlet } from './netns/netns-outlet.js';
import {
  type OutletOptions,
  UDEV_GROUP_MASK,
  refuseBelow,
  refuseConflicts,
} from './open-outlets.js';

/** An outlet that was checked. */
export interface OutletCheck {
  /** The option that switches it on, with its value. */
  readonly option: string;
  /** Why `openOutlets` would refuse it; null if it would not. */
  readonly error: UserError | null;
}

/**
 * Checks all outlets of the options. It makes no file.
 *
 * @param readMask the netlink groups that the sources read, as a mask
 * @param mount the mount point
 * @param limits the limits of the filters of `--netns`
 */
export function checkOutlets(
  options: OutletOptions,
  readMask: number,
  mount: string,
  limits: FilterLimits,
  logger: Logger,
): OutletCheck[] {
  const { rebroadcast, udev, socket, fdSocket, fifodir, netns = [] } = options;
  const namespaces: Namespace[] = [];
  const sends = (mask: number) => () => NetlinkOutlet.rebroadcast(mask, logger).close();
  const checks: readonly (readonly [string, boolean, () => void])[] = [
    [
      'the outlets go together',
      true,
      () => {
        refuseConflicts(options, readMask);
        refuseBelow(options, mount);
      },
    ],
    [`--rebroadcast ${rebroadcast}`, rebroadcast !== undefined, sends(rebroadcast ?? 0)],
    ['--udev', udev === true, sends(UDEV_GROUP_MASK)],
    [`--socket ${socket?.path}`, socket !== undefined, () => checkSocket(socket!.path)],
    [`--fd-socket ${fdSocket?.path}`, fdSocket !== undefined, () => checkSocket(fdSocket!.path)],
    [
      `--fifodir ${fifodir}`,
      fifodir !== undefined,
      () => new FifodirOutlet(fifodir!, logger).close(),
    ],
    ...netns.map(
      (place) =>
        [
          `--netns ${place.path}`,
          true,
          () => NetnsOutlet.check(place, limits, logger, namespaces),
        ] as const,
    ),
  ];
  return checks
    .filter(([, isOn]) => isOn)
    .map(([option, , attempt]) => ({ option, error: errorOf(attempt) }));
}

function errorOf(attempt: () => void): UserError | null {
  try {
    attempt();
    return null;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

function checkSocket(path: string): void {
  findSocket(path, 'stop that server, or choose another path');
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    if (isSystemError(error))
      throw UserError.from(error, path, { ENOENT: 'its directory does not exist' });
    throw error;
  }
}
