/** Finds the process that serves a mount. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { mountedAt } from '../shared/kernel/mountinfo.js';
import { seesOwnNamespace } from '../shared/kernel/namespaces.js';
import { readStatusFile } from './status.js';

/**
 * Finds the daemon of a mount by the PID in its `log/.status`.
 *
 * @param path the mount's path
 * @returns its PID; undefined if another process has that PID here, because the daemon is in
 *   another PID namespace, or if this process may not inspect the daemon
 * @throws SystemError with the errno of open(2) or read(2) of `log/.status`
 */
export function servingProcess(path: string): number | undefined {
  const connection = mountedAt(path)?.minor;
  const pid = Number(readStatusFile(`${path}/log`).get('DAEMON'));
  return connection !== undefined && seesOwnNamespace() && serves(pid, connection)
    ? pid
    : undefined;
}

/**
 * Tells whether a process has the FUSE connection open. Before Linux 6.16 /proc does not name the
 * connection: any open /dev/fuse counts.
 */
function serves(pid: number, connection: number): boolean {
  let descriptors: string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return false; // the process has ended, or this process may not inspect it
  }
  return descriptors.some((fd) => isOfConnection(pid, fd, connection));
}

function isOfConnection(pid: number, fd: string, connection: number): boolean {
  try {
    if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== '/dev/fuse') return false;
    const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1');
    const said = /^fuse_connection:\t(\d+)$/m.exec(info);
    return said === null || Number(said[1]) === connection;
  } catch {
    return false; // the process has closed it since: a daemon opens and closes others all the time
  }
}
