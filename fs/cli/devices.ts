/** Every device that the kernel knows, through /sys: what `add` events have told of, and can tell of again. */
import { existsSync, readFileSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { UserError, isSystemError } from '../shared/errors.js';
import { type EventText, parseEvent } from '../client/event-text.js';

const SYS = '/sys';

export interface Device {
  /** Its directory, which has a file `uevent`. */
  readonly path: string;
  /** As the kernel would tell of it by `add`, but for SEQNUM. */
  readonly event: EventText;
}

/**
 * All devices, parents before their children, as `udevadm trigger` finds them: by bus and by class.
 *
 * @throws UserError where /sys is not mounted: no device found would look like no device there
 */
export function* devices(): Generator<Device> {
  requireSys();
  const found = new Set<string>();
  for (const bus of namesIn(`${SYS}/bus`)) addAll(found, `${SYS}/bus/${bus}/devices`);
  for (const deviceClass of namesIn(`${SYS}/class`)) addAll(found, `${SYS}/class/${deviceClass}`);
  yield* described(found);
}

/** Buses and drivers have uevents of their own: SUBSYSTEM is bus or drivers there. Throws as `devices`. */
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
    if (isSystemError(error)) return []; // no such thing in this kernel or container
    throw error;
  }
}

/** What a directory's links lead to; many lead to the same. */
function addAll(to: Set<string>, directory: string): void {
  for (const name of namesIn(directory)) {
    try {
      to.add(realpathSync(`${directory}/${name}`));
    } catch (error) {
      if (!isSystemError(error)) throw error; // it has gone since
    }
  }
}

function* described(paths: ReadonlySet<string>): Generator<Device> {
  // A parent's path is the beginning of its children's, and sorts before them.
  for (const path of [...paths].sort()) {
    const event = describe(path);
    if (event !== undefined) yield { path, event };
  }
}

/** Undefined where there is no `uevent`, as in /sys/class/zram-control. */
function describe(path: string): EventText | undefined {
  let properties: string;
  try {
    properties = readFileSync(`${path}/uevent`, 'latin1');
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code !== 'EACCES') return undefined; // EACCES: a driver's can be written only
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
  return parseEvent(`${lines.join('\n').trimEnd()}\n`);
}

function subsystemOf(path: string): string {
  try {
    return basename(readlinkSync(`${path}/subsystem`));
  } catch {
    return /^\/sys\/bus\/[^/]*$/.test(path) ? 'bus' : 'drivers';
  }
}
