/**
 * Finds every device that the kernel knows, through /sys: those that `add` events have announced,
 * and can announce again.
 */
import { existsSync, readFileSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { UserError, isSystemError } from '../shared/errors.js';
import { type EventText, parseEvent } from '../client/events/text.js';

const SYS = '/sys';

/** A device, bus or driver in /sys. */
export interface Device {
  /** The device's directory in /sys. It contains a file `uevent`. */
  readonly path: string;
  /** The event that the kernel would send as `add`, but without SEQNUM. Its source is `kernel`. */
  readonly event: EventText;
}

/**
 * Finds all devices as `udevadm trigger` does: by bus and by class, parents before their children.
 *
 * @throws UserError if /sys is not mounted: an empty result would mean that there are no devices
 */
export function* devices(): Generator<Device> {
  requireSys();
  const found = new Set<string>();
  for (const bus of namesIn(`${SYS}/bus`)) addAll(found, `${SYS}/bus/${bus}/devices`);
  for (const deviceClass of namesIn(`${SYS}/class`)) addAll(found, `${SYS}/class/${deviceClass}`);
  yield* described(found);
}

/**
 * Finds all buses and drivers, which have uevents of their own: SUBSYSTEM is `bus` or `drivers`
 * there.
 *
 * @throws UserError if /sys is not mounted
 */
export function* subsystems(): Generator<Device> {
  requireSys();
  const found = new Set<string>();
  addAll(found, `${SYS}/bus`);
  for (const bus of namesIn(`${SYS}/bus`)) addAll(found, `${SYS}/bus/${bus}/drivers`);
  yield* described(found);
}

function requireSys(): void {
  if (!existsSync(`${SYS}/devices`))
    throw new UserError(
      `${SYS}: sysfs is not mounted here, so no device can be found (try mount -t sysfs sysfs ${SYS})`,
    );
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isSystemError(error)) return []; // this kernel or container has no such directory
    throw error;
  }
}

/** Adds the targets of a directory's links. Several links may lead to one target. */
function addAll(to: Set<string>, directory: string): void {
  for (const name of namesIn(directory)) {
    try {
      to.add(realpathSync(`${directory}/${name}`));
    } catch (error) {
      if (!isSystemError(error)) throw error; // the device has gone since
    }
  }
}

function* described(paths: ReadonlySet<string>): Generator<Device> {
  // A parent's path is a prefix of its children's paths, and sorts before them.
  for (const path of [...paths].sort()) {
    const event = describe(path);
    if (event !== undefined) yield { path, event };
  }
}

/** Returns undefined if there is no file `uevent`, as in /sys/class/zram-control. */
function describe(path: string): EventText | undefined {
  let properties: string;
  try {
    properties = readFileSync(`${path}/uevent`, 'latin1');
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code !== 'EACCES') return undefined; // EACCES: a driver's file is write-only
    properties = '';
  }
  const devpath = path.slice(SYS.length);
  const lines = [
    `add@${devpath}`,
    'ACTION=add',
    `DEVPATH=${devpath}`,
    `SUBSYSTEM=${subsystemOf(path)}`,
    properties,
  ];
  return parseEvent(`${lines.join('\n').trimEnd()}\n`, 'kernel');
}

function subsystemOf(path: string): string {
  try {
    return basename(readlinkSync(`${path}/subsystem`));
  } catch {
    return /^\/sys\/bus\/[^/]*$/.test(path) ? 'bus' : 'drivers';
  }
}
