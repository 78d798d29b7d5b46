/** Defaults that several commands share. */
import { homedir } from 'node:os';
import { join } from 'node:path';

import { DEFAULT_DIRECTORY } from '../shared/kernel/mountinfo.js';

export { DEFAULT_DIRECTORY };

/** The option of commands that work on a mount. */
export const MOUNT_OPTION = [
  '--mount <dir>',
  'the directory that eventfs is mounted on',
  DEFAULT_DIRECTORY,
] as const;

/** Returns the caller's home directory; `/` for a user id without one, as in some containers. */
export function homeDirectory(): string {
  try {
    const home = homedir();
    return home.startsWith('/') ? home : '/';
  } catch {
    return '/';
  }
}

/**
 * Returns the configuration file that `eventfs mount` reads if it exists: root's, or a user's own,
 * because the administrator writes /etc/eventfs.toml for the machine's daemon.
 */
export function defaultConfiguration(): string {
  if (process.geteuid?.() === 0) return '/etc/eventfs.toml';
  const { XDG_CONFIG_HOME: given = '' } = process.env;
  return join(given.startsWith('/') ? given : join(homeDirectory(), '.config'), 'eventfs.toml');
}
