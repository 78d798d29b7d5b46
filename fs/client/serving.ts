/** Which process serves a mount. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { mountedAt } from '../shared/kernel/mountinfo.js';
import { seesOwnNamespace } from '../shared/kernel/namespaces.js';
import { readStatusFile } from './status.js';

/**
 * The daemon of the mount at a path, as its log/.status names it.
 *
 * @returns undefined where that number is another process's: the daemon is in another PID namespace, or not ours to look into
 */
export function servingProcess(path: string): number | undefined {
  const connection = mountedAt(path)?.minor;
  const pid = Number(readStatusFile(`${path}/log`).get('DAEMON'));
  return connection !== undefined && seesOwnNamespace() && serves(pid, connection)
    ? pid
    : undefined;
}

/** Whether a process has that connection open. Before Linux 6.16 it can't be told which one it has. */
function serves(pid: number, connection: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`)
      .filter((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === '/dev/fuse')
      .map((fd) =>
        /^fuse_connection:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')),
      )
      .some((said) => said === null || Number(said[1]) === connection);
  } catch {
    return false; // it has ended, or is not ours to look into
  }
}
