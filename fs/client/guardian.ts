/** Finds the guardian of a mount by its daemon: the mount may have been moved. */
import { readFileSync } from 'node:fs';
import { isSystemError } from '../shared/errors.js';
import { servingProcess } from './serving.js';

/** The program's name, as the kernel cuts it: proc_pid_comm(5). */
const NAME = 'eventfs-guard';

/**
 * Returns the path of the socket of a mount's guardian, as the guardian's command line has it.
 *
 * @param path the mount's path
 * @returns undefined if this process can't find the daemon, or no guardian is its parent
 * @throws SystemError with the errno of open(2) or read(2) of `log/.status`
 */
export function guardianSocket(path: string): string | undefined {
  const daemon = servingProcess(path);
  if (daemon === undefined) return undefined;
  try {
    const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${daemon}/status`, 'latin1'))![1];
    if (readFileSync(`/proc/${parent}/comm`, 'utf8') !== `${NAME}\n`) return undefined;
    const words = readFileSync(`/proc/${parent}/cmdline`, 'utf8').split('\0');
    return words[words.indexOf('--socket') + 1];
  } catch (error) {
    if (isSystemError(error)) return undefined; // one of the two has ended
    throw error;
  }
}
