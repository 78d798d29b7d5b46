/** `eventfs coldplug`: makes the kernel send `add` again for every device. */
import { writeFileSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import { UsageError, UserError, errnoText, isSystemError } from '../../shared/errors.js';
import { type Device, devices, subsystems } from '../devices.js';
import { parseFilter } from '../../client/events/text.js';
import { adviseOnFilter } from '../terminal/filter-advice.js';
import { print, printError, printable } from '../terminal/output.js';

/** The options of `eventfs coldplug`. */
export interface ColdplugOptions {
  readonly action: string;
  readonly synthUuid?: string;
  readonly synthArg: readonly string[];
  readonly subsystems?: boolean;
  readonly dryRun?: boolean;
}

/**
 * Writes an action to the file `uevent` of each device in /sys, parents first (kernel:
 * lib/kobject_uevent.c, kobject_synth_uevent). With a UUID the events have it as SYNTH_UUID: the
 * caller can tell its own replay from all others.
 *
 * @param filterText the devices to choose, as a filter
 * @throws UserError if the filter is invalid, or if the kernel or a device rejects the write
 */
export function coldplug(filterText: string, options: ColdplugOptions): void {
  const filter = parseFilter(filterText);
  adviseOnFilter('coldplug', filter);
  const asked = [
    options.action,
    ...(options.synthUuid === undefined ? [] : [options.synthUuid, ...options.synthArg]),
  ].join(' ');
  if (options.synthUuid === undefined && options.synthArg.length > 0)
    throw new UsageError('--synth-arg needs --synth-uuid (uuidgen prints one)');
  const everything = [...(options.subsystems === true ? subsystems() : []), ...devices()];
  const wanted = everything.filter(({ event }) => filter.matches(event));
  if (options.dryRun === true) {
    print(Buffer.from(wanted.map(({ path }) => `${path}\n`).join(''), 'latin1'));
    return;
  }
  const refused = triggerAll(wanted, asked);
  printError(`coldplug: triggered ${wanted.length - refused} of ${wanted.length} devices`);
  if (refused > 0)
    throw new UserError(`${refused} devices rejected the write (the lines above have the reasons)`);
}

/** Returns the number of devices that rejected the write. */
function triggerAll(wanted: readonly Device[], asked: string): number {
  // A progress bar needs a terminal.
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: '{bar} {value}/{total} {device}',
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
      })
    : null;
  let refused = 0;
  bar?.start(wanted.length, 0, { device: '' });
  try {
    for (const { path } of wanted) {
      bar?.increment({ device: printable(path) });
      if (!trigger(path, asked)) refused++;
    }
  } finally {
    bar?.stop();
  }
  return refused;
}

/**
 * Writes to one device's file `uevent`.
 *
 * @returns false if the device rejects the write; true also if the device has gone since
 * @throws UserError if all other devices would fail in the same way
 */
function trigger(path: string, asked: string): boolean {
  try {
    writeFileSync(`${path}/uevent`, asked, { flag: 'r+' });
    return true;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const { code } = error;
    if (code === 'ENOENT' || code === 'ENODEV') return true;
    if (code === 'EACCES' || code === 'EPERM')
      throw UserError.from(error, `${path}/uevent`, {
        [code]: 'only root may trigger events: try as root',
      });
    if (code === 'EROFS')
      throw UserError.from(error, `${path}/uevent`, {
        EROFS: 'try mount -o remount,rw /sys; in a container try outside of it',
      });
    if (code === 'EINVAL')
      throw UserError.from(error, `${path}/uevent`, {
        EINVAL: `the kernel rejects '${asked}': check --action and --synth-arg`,
      });
    printError(`coldplug: ${path}: ${errnoText(error.errno)}`);
    return false;
  }
}
