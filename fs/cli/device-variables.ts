/**
 * Which variables are a device's: those of uevents, as the kernel, udev(7), mdev, mdevd and vdev set them.
 *
 * `emit` takes only these from its environment, so that an event tells nothing of the shell it comes from. `run` sets
 * only these under their own names, so that an event can't set PATH or LD_PRELOAD. native/emit/device_variables.h has the
 * same list: node native/emit/generate-header.mjs makes it of this one.
 */
export const DEVICE_VARIABLES: readonly string[] = [
  // what ends with _ begins the names of many
  'ACTION',
  'DEVPATH',
  'SUBSYSTEM',
  'SEQNUM',
  'SYNTH_UUID',
  'SYNTH_ARG_',
  'DEVNAME',
  'DEVTYPE',
  'DEVMODE',
  'DEVUID',
  'DEVGID',
  'DEVLINKS',
  'DRIVER',
  'MAJOR',
  'MINOR',
  'MODALIAS',
  'PRODUCT',
  'TYPE',
  'INTERFACE',
  'IFINDEX',
  'BUSNUM',
  'DEVNUM',
  'DISKSEQ',
  'DISKNAME',
  'PARTN',
  'PARTNAME',
  'PARTUUID',
  'FIRMWARE',
  'TIMEOUT',
  'ASYNC',
  'HID_',
  'PCI_',
  'OF_',
  'POWER_SUPPLY_',
  'ID_',
  'TAGS',
  'CURRENT_TAGS',
  'USEC_INITIALIZED',
  'DEVPATH_OLD',
  'RESULT',
  'MDEV',
  'SCSI_',
  'NAME',
  'PHYS',
  'UNIQ',
  'PROP',
  'EV',
  'KEY',
  'REL',
  'ABS',
  'MSC',
  'LED',
  'SND',
  'FF',
  'SW',
];

const NAMES = new Set(DEVICE_VARIABLES.filter((name) => !name.endsWith('_')));
const PREFIXES = DEVICE_VARIABLES.filter((name) => name.endsWith('_'));

/** vdevd gives its helpers the uevent's properties with this before their names. */
const VDEV_PREFIX = 'VDEV_OS_';

export function isDeviceVariable(name: string): boolean {
  return NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** What of an environment is a device's; under vdevd, too. */
export function deviceVariables(
  environment: Iterable<readonly [string, string]>,
): Map<string, string> {
  const all = new Map(environment);
  const found = new Map([...all].filter(([name]) => isDeviceVariable(name)));
  if (found.has('DEVPATH') || !all.has(`${VDEV_PREFIX}DEVPATH`)) return found;
  const action = all.get('VDEV_ACTION');
  if (action !== undefined) found.set('ACTION', action);
  for (const [name, value] of all) {
    const own = name.slice(VDEV_PREFIX.length);
    if (name.startsWith(VDEV_PREFIX) && isDeviceVariable(own)) found.set(own, value);
  }
  return found;
}
