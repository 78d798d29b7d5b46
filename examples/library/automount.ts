/**
 * automount [--mount DIR]: prints the commands that would mount and unmount USB sticks, and runs
 * none of them: `automount | sh` would. Without --mount it reads the kernel's netlink group.
 *
 * It begins with the sticks that are there. After a loss it compares them with what it has mounted,
 * because the missing events are unknown.
 */
import { readFileSync, readdirSync, realpathSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type DeviceEvent, EventfsError, subscribe } from 'eventfs';

const { values } = parseArgs({ options: { mount: { type: 'string' } } });
const source = values.mount === undefined ? ({ netlink: 'kernel' } as const) : values;

const SYS_BLOCK = '/sys/class/block';
const OPTIONS = 'nosuid,nodev,noexec,ro';

/** Where each partition is mounted, by the kernel's name of it. */
const mounted = new Map<string, string>();

/** A partition of a stick. */
interface Partition {
  readonly name: string;
  readonly label?: string | undefined;
}

function plug({ name, label }: Partition): void {
  if (mounted.has(name)) return;
  const place = `/media/${safe(label ?? name)}`;
  mounted.set(name, place);
  console.log(`mkdir -p ${place} && mount -o ${OPTIONS} /dev/${safe(name)} ${place}`);
}

function unplug(name: string): void {
  const place = mounted.get(name);
  if (place === undefined) return;
  mounted.delete(name);
  console.log(`umount -l ${place}`);
}

/** Turns a label into one word for a shell: the maker of the stick chooses it. */
function safe(text: string): string {
  return text.replaceAll(/[^\w.-]/g, '_').replace(/^[.-]/, '_');
}

function isUsb(devpath: string): boolean {
  return /\/usb\d+\//.test(devpath);
}

/** The partitions that are there now. */
function present(): Partition[] {
  return readdirSync(SYS_BLOCK).flatMap((name) => {
    try {
      readFileSync(`${SYS_BLOCK}/${name}/partition`);
      return isUsb(realpathSync(`${SYS_BLOCK}/${name}`)) ? [{ name }] : [];
    } catch {
      return []; // a whole disk, or it has just been unplugged
    }
  });
}

function compare(): void {
  const now = present();
  for (const name of [...mounted.keys()])
    if (!now.some((partition) => partition.name === name)) unplug(name);
  now.forEach(plug);
}

function handle({ action, properties: { DEVNAME, ID_FS_LABEL } }: DeviceEvent): void {
  if (DEVNAME === undefined) return;
  const name = DEVNAME.replace(/^\/dev\//, ''); // udev's events have the whole path
  if (action === 'remove') unplug(name);
  else if (action === 'add') plug({ name, label: ID_FS_LABEL });
}

try {
  const events = subscribe({ ...source, filter: 'SUBSYSTEM==block, DEVTYPE==partition' });
  await events.ready; // a stick that is plugged in from now on is an event
  compare();
  for await (const event of events) {
    if (event.type === 'loss') compare();
    else if (isUsb(event.devpath)) handle(event);
  }
} catch (error) {
  if (!(error instanceof EventfsError)) throw error;
  console.error(`automount: ${error.message}`);
  process.exit(1);
}
