/** Defaults that several commands share. */

import { DEFAULT_DIRECTORY } from '../shared/kernel/mountinfo.js';

export { DEFAULT_DIRECTORY };

/** The option of commands that work on a mount. */
export const MOUNT_OPTION = [
  '--mount <dir>',
  'the directory that eventfs is mounted on',
  DEFAULT_DIRECTORY,
] as const;
