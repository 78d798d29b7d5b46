/**
 * Lists the variables that belong to a device: those of uevents, as the kernel, udev(7), mdev,
 * mdevd and vdev set them.
 *
 * `emit` takes only these from its environment, so that an event reveals nothing of the shell that
 * runs it. `run` sets only these under their own names, so that an event can't set PATH or
 * LD_PRELOAD. native/emit/device_variables.h has the same list, which
 * native/emit/generate-headers.mjs makes from this one.
 */
export const DEVICE_VARIABLES: readonly string[] = [
  // a name that ends with _ is a prefix
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

/** The prefix that vdevd puts before the names of the uevent's properties for its helpers. */
const VDEV_PREFIX = 'VDEV_OS_';

/** Tells whether a variable is a device's, by its name. */
export function isDeviceVariable(name: string): boolean {
  return NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));
}

/**
 * Picks the device's variables out of an environment, also out of that of a helper of vdevd.
 *
 * @returns the values by name; names from vdevd come without `VDEV_OS_`
 */
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
