/** Defaults that several commands share. */

/** The directory that eventfs is mounted on. */
export const DEFAULT_DIRECTORY = '/dev/events';

/** The option of commands that work on a mount. */
export const MOUNT_OPTION = [
  '--mount <dir>',
  'the directory that eventfs is mounted on',
  DEFAULT_DIRECTORY,
] as const;
