/** `eventfs emit`: publish one event. */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { Refusal, isSystemError } from '../errno.js';
import { requireMount } from './mounted.js';

/** What of the environment is the device's, and not the shell's: uevent variables as udev(7), mdev and mdevd set them. */
const DEVICE_VARIABLES =
  /^(ACTION|DEVPATH|SUBSYSTEM|SEQNUM|SYNTH_UUID|SYNTH_ARG_.*|DEVNAME|DEVTYPE|DEVMODE|DEVUID|DEVGID|DEVLINKS|DRIVER|MAJOR|MINOR|MODALIAS|PRODUCT|TYPE|INTERFACE|IFINDEX|BUSNUM|DEVNUM|DISKSEQ|DISKNAME|PARTN|PARTNAME|PARTUUID|FIRMWARE|TIMEOUT|ASYNC|HID_.*|PCI_.*|OF_.*|POWER_SUPPLY_.*|ID_.*|TAGS|CURRENT_TAGS|USEC_INITIALIZED|DEVPATH_OLD|RESULT|MDEV|SCSI_.*|NAME|PHYS|UNIQ|PROP|EV|KEY|REL|ABS|MSC|LED|SND|FF|SW)$/;

const HINTS = {
  EACCES: 'publish is for its owner only: try as root, or have root chmod it',
  EINVAL: 'the event is malformed: ACTION@/DEVPATH, then KEY=VALUE lines',
  EFBIG: 'an event has at most 64 KiB',
};

export async function emit(properties: readonly string[], options: { readonly environment?: boolean; readonly mount: string }): Promise<void> {
  const event = properties.length === 1 && properties[0] === '-' ? readFileSync(0) : fromProperties(collect(properties, options.environment === true));
  const path = `${await requireMount(options.mount)}/publish`;
  try {
    const fd = openSync(path, constants.O_WRONLY);
    writeSync(fd, event); // one write is one event
    closeSync(fd);
  } catch (error) {
    if (isSystemError(error)) throw Refusal.from(error, path, HINTS);
    throw error;
  }
}

function collect(properties: readonly string[], environment: boolean): Map<string, string> {
  const all = new Map<string, string>();
  if (environment || properties.length === 0) {
    for (const [key, value] of Object.entries(process.env)) if (value !== undefined && DEVICE_VARIABLES.test(key)) all.set(key, value);
  }
  for (const property of properties) {
    const at = property.indexOf('=');
    if (at < 1) throw new Refusal(`${property}: not KEY=VALUE`);
    all.set(property.slice(0, at), property.slice(at + 1));
  }
  return all;
}

/** In the kernel's own form, whose NULs let a value hold line ends. */
function fromProperties(properties: ReadonlyMap<string, string>): Buffer {
  const action = properties.get('ACTION');
  const devpath = properties.get('DEVPATH');
  if (action === undefined || devpath === undefined) {
    throw new Refusal('ACTION and DEVPATH are required (try eventfs emit ACTION=change DEVPATH=/my/thing SUBSYSTEM=mine)');
  }
  if (!devpath.startsWith('/')) throw new Refusal(`DEVPATH=${devpath}: it begins with /`);
  const lines = [`${action}@${devpath}`, ...[...properties].map(([key, value]) => `${key}=${value}`)];
  return Buffer.from(lines.map((line) => `${line}\0`).join(''));
}
