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
  if (event.length === 0) throw new Refusal('standard input is empty'); // to write nothing is no error to anybody else
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

/** All of them as bytes, one a character. */
function collect(properties: readonly string[], environment: boolean): Map<string, string> {
  // process.env takes all values for UTF-8, and loses what is not
  const inherited = environment || properties.length === 0 ? readFileSync('/proc/self/environ', 'latin1').split('\0') : [];
  const all = new Map(inherited.map(split).filter(([key]) => DEVICE_VARIABLES.test(key)));
  for (const property of properties) {
    const [key, value] = split(Buffer.from(property).toString('latin1'));
    if (key === '') throw new Refusal(`${property}: not KEY=VALUE`);
    all.set(key, value);
  }
  return all;
}

/** `KEY=VALUE` in two; no key where it is not that. */
function split(property: string): [key: string, value: string] {
  const at = Math.max(0, property.indexOf('='));
  return [property.slice(0, at), property.slice(at + 1)];
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
  return Buffer.from(lines.map((line) => `${line}\0`).join(''), 'latin1');
}
