/** Opens the outlets that options switch on, and checks which of them go together. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { passToAll, sendToAll } from '#native';
import { UsageError, UserError, isSystemError } from '../shared/errors.js';
import type { NetnsPlace } from './netns/netns-outlet.js';
import type { Outlet, OutletHost } from './outlet.js';

export type { NetnsPlace } from './netns/netns-outlet.js';

/** The file of a socket outlet, and its mode. */
export interface SocketPlace {
  readonly path: string;
  readonly mode: number;
}

/** The options that switch outlets on. */
export interface OutletOptions {
  /** Whether the mount is for events of other hosts, which few outlets may send. */
  readonly fleet?: boolean;
  /** The netlink groups that get the kernel's datagrams, as a mask: bit 0 is group 1. */
  readonly rebroadcast?: number;
  /** Whether udev's group gets libudev's messages. */
  readonly udev?: boolean;
  /** The socket whose clients get events as text, not as descriptors. */
  readonly socket?: SocketPlace;
  /** The socket that sends events as descriptors. */
  readonly fdSocket?: SocketPlace;
  /** The path of the fifodir. */
  readonly fifodir?: string;
  /** The network namespaces that get the kernel's events. */
  readonly netns?: readonly NetnsPlace[];
}

const KERNEL_GROUP_MASK = 1 << 0;
/** udev's netlink group as a mask. */
export const UDEV_GROUP_MASK = 1 << 1;

/** Loads the code of the outlets that the options switch on. A standby does it beforehand. */
export async function loadOutlets(options: OutletOptions): Promise<void> {
  const { rebroadcast, udev, socket, fdSocket, fifodir, netns = [] } = options;
  if (rebroadcast !== undefined || udev === true) await import('./netlink.js');
  if (udev === true) await import('./udev-control.js');
  if (socket !== undefined || fdSocket !== undefined) await import('./socket/socket-outlet.js');
  if (fifodir !== undefined) await import('./fifodir.js');
  if (netns.length > 0) await import('./netns/netns-outlet.js');
}

/**
 * Opens all outlets, or none. A daemon that follows a dead one leaves out an outlet that can't be
 * opened any more, such as that of a network namespace that has ended: else the mount would end.
 *
 * @param readMask the netlink groups that the sources read, as a mask: an event sent there would
 *   come back
 * @param mount the mount point: the daemon cannot open paths below it
 * @throws UsageError if two options exclude each other, or if an outlet cannot be opened
 */
export async function openOutlets(
  options: OutletOptions,
  readMask: number,
  mount: string,
  host: OutletHost,
): Promise<Outlet[]> {
  refuseConflicts(options, readMask);
  refusePaths(options, mount, host);
  const { rebroadcast, udev, socket, fdSocket, fifodir, netns = [] } = options;
  const { logger, keeper, opened } = host;
  const open: Outlet[] = [];
  const add = async (opening: () => Promise<Outlet>): Promise<void> => {
    try {
      open.push(await opening());
    } catch (error) {
      leaveOut(error, host);
    }
  };
  try {
    if (rebroadcast !== undefined)
      await add(async () =>
        (await import('./netlink.js')).NetlinkOutlet.rebroadcast(rebroadcast, logger),
      );
    if (udev === true) await add(() => openUdev(host));
    if (socket !== undefined) await add(() => openSocket('SOCKET', socket, host));
    if (fdSocket !== undefined) await add(() => openSocket('FDSOCKET', fdSocket, host));
    if (fifodir !== undefined)
      await add(
        async () =>
          new (await import('./fifodir.js')).FifodirOutlet(fifodir, logger, keeper, opened),
      );
    if (netns.length > 0) await add(() => openNetns(netns, host));
  } catch (error) {
    for (const outlet of open) outlet.close();
    throw error;
  } finally {
    opened?.close();
  }
  return open;
}

/** Refuses paths below the mount, without a walk along a path while clients wait. */
function refusePaths(options: OutletOptions, mount: string, { keeper, opened }: OutletHost): void {
  if (keeper.followsDeath) refuseBelow(options, mount, resolve);
  else if (opened === undefined) refuseBelow(options, mount);
  else opened.refuseBelow();
}

/**
 * Logs why an outlet can't be opened.
 *
 * @throws the error if this daemon must not serve without the outlet
 */
function leaveOut(error: unknown, { logger, keeper }: OutletHost): void {
  if (!keeper.followsDeath || !(error instanceof UserError)) throw error;
  logger.error(`${error.message}; the daemon goes on without this outlet (later: eventfs reload)`);
}

async function openNetns(netns: readonly NetnsPlace[], host: OutletHost): Promise<Outlet> {
  const { NetnsOutlet } = await import('./netns/netns-outlet.js');
  return new NetnsOutlet(netns, host, (error) => leaveOut(error, host));
}

async function openSocket(
  key: 'SOCKET' | 'FDSOCKET',
  { path, mode }: SocketPlace,
  host: OutletHost,
): Promise<Outlet> {
  const { SocketOutlet } = await import('./socket/socket-outlet.js');
  const { Listener } = await import('./listener.js');
  const listener = new Listener(path, mode, undefined, host.keeper, host.opened);
  return new SocketOutlet(key, listener, key === 'SOCKET' ? sendToAll : passToAll, host);
}

/**
 * Refuses options that exclude each other.
 *
 * @throws UsageError with the reason
 */
export function refuseConflicts(
  { fleet = false, rebroadcast = 0, udev = false, netns = [] }: OutletOptions,
  readMask: number,
): void {
  if (fleet) refuseLocal(readMask, { rebroadcast, udev, netns });
  if ((rebroadcast & readMask) !== 0) {
    throw new UsageError(
      `--rebroadcast ${rebroadcast}: a source reads group mask ${rebroadcast & readMask}, so the events would come back (leave these groups out)`,
    );
  }
  if (udev && (readMask & UDEV_GROUP_MASK) !== 0)
    throw new UsageError(
      '--udev: its events would come back through --source udev (leave out one of the two)',
    );
  if (udev && (rebroadcast & UDEV_GROUP_MASK) !== 0)
    throw new UsageError(
      '--udev: it sends to group mask 2 itself (leave group 2 out of --rebroadcast)',
    );
  if (netns.length > 0 && (readMask & KERNEL_GROUP_MASK) === 0)
    throw new UsageError(
      "--netns: it sends the kernel's events, and no source reads them (add --source kernel)",
    );
}

/**
 * Refuses paths of outlets that are below the mount.
 *
 * @param mount the mount point
 * @param realPath returns an absolute path. The default follows symlinks, and so waits for each
 *   mount on its way
 * @throws UsageError with the path
 */
export function refuseBelow(
  { socket, fdSocket, fifodir, netns = [] }: OutletOptions,
  mount: string,
  realPath: (path: string) => string = withRealDirectory,
): void {
  for (const path of [socket?.path, fdSocket?.path, fifodir, ...netns.map(({ path }) => path)]) {
    if (path === undefined) continue;
    const real = realPath(path);
    if (real === mount || real.startsWith(`${mount}/`))
      throw new UsageError(`${path}: the path is below the mount ${mount} (choose a path outside)`);
  }
}

/**
 * Refuses options that do not fit a mount for events of other hosts.
 *
 * @throws UsageError with the reason
 */
function refuseLocal(
  readMask: number,
  { rebroadcast, udev, netns }: Pick<Required<OutletOptions>, 'rebroadcast' | 'udev' | 'netns'>,
): void {
  if (readMask !== 0)
    throw new UsageError(
      '--fleet: its events are those of other hosts (leave out --source; mount a second directory for this machine)',
    );
  const options = {
    '--rebroadcast': rebroadcast !== 0,
    '--udev': udev,
    '--netns': netns.length > 0,
  };
  for (const [option, isOn] of Object.entries(options))
    if (isOn)
      throw new UsageError(
        `--fleet: with ${option} programs would take devices of other hosts for those of this machine (leave out ${option})`,
      );
}

function withRealDirectory(path: string): string {
  const whole = resolve(path);
  try {
    return join(realpathSync(dirname(whole)), basename(whole));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return whole; // the attempt to open the path reports the error
  }
}

/**
 * Opens the netlink outlet with the control socket without which libudev's clients do not listen.
 */
async function openUdev({ bus, logger, trace, keeper }: OutletHost): Promise<Outlet> {
  const { NetlinkOutlet } = await import('./netlink.js');
  const { UdevControl } = await import('./udev-control.js');
  const outlet = NetlinkOutlet.udev(bus, logger);
  let control: InstanceType<typeof UdevControl>;
  try {
    control = new UdevControl(trace, keeper);
  } catch (error) {
    outlet.close();
    throw error;
  }
  return {
    take: (event) => outlet.take(event),
    settle: () => outlet.settle(),
    start: () => control.start(),
    statusLines: () => outlet.statusLines(),
    close: () => {
      control.close();
      outlet.close();
    },
  };
}
