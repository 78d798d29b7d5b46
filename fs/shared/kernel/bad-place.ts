/** Directories on which a daemon would wait for its own replies, for ever. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MOUNT_TYPE, enclosing } from './mountinfo.js';

/** A reason not to mount on a directory, and what to do. */
export interface BadPlace {
  readonly what: string;
  readonly mend: string;
}

/** Paths of this program: it loads modules while it serves. */
const OWN_PATHS: readonly string[] = [dirname(fileURLToPath(import.meta.url)), process.execPath];

/**
 * Tells why a daemon can't serve a directory: a mount inside an eventfs ends with the directory's
 * owner, and a daemon reads /proc and its own program.
 *
 * @param path as /proc/self/mountinfo shows it
 * @returns null if it can
 */
export function badPlace(path: string): BadPlace | null {
  const around = enclosing(path);
  if (around?.type === MOUNT_TYPE)
    return {
      what: `it is inside the eventfs at ${around.mountPoint}`,
      mend: 'choose a directory outside of it',
    };
  if (around?.type === 'proc')
    return { what: 'it is in /proc, which the daemon reads', mend: 'choose another directory' };
  if (OWN_PATHS.some((own) => own.startsWith(`${path}/`)))
    return { what: 'eventfs itself is in it', mend: 'choose an empty directory' };
  return null;
}
