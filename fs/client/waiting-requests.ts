/**
 * Requests that wait in the kernel for a daemon's answer, as fusectl counts them
 * (fs/fuse/control.c, the file `waiting`). Most are blocked reads, which the daemon counts too. A
 * request beyond those that is there again and again is stuck.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSystemError } from '../shared/errors.js';
import { CONNECTIONS } from '../shared/kernel/connection.js';
import { mountedAt } from '../shared/kernel/mountinfo.js';
import { readStatusFile } from './status.js';

/** How often to look before a request counts as stuck, and the pauses between. */
const LOOKS = 8;
const PAUSE_MS = 100;
/** The pause of the first look, mostly the only one. */
const RELEASE_MS = 10;

/** The requests of a mount that wait. */
export interface WaitingRequests {
  /** Reads that wait for an event: the daemon's count. */
  readonly blocked: number;
  /** Others that have waited for most of a second. */
  readonly stuck: number;
}

/** The reason why nothing is known: fusectl is not mounted, or this user may not read it. */
export type Unknown = 'missing' | 'refused';

/** Returns the file by which root or the mount's user ends all requests of a mount. */
export function abortFile(path: string): string {
  return `${CONNECTIONS}/${mountedAt(path)?.minor ?? -1}/abort`;
}

/**
 * Returns how many requests wait for the daemon's answer, blocked reads included.
 *
 * @param path the mount's path
 */
export function countWaiting(path: string): number | Unknown {
  try {
    return Number(readFileSync(`${CONNECTIONS}/${mountedAt(path)?.minor ?? -1}/waiting`, 'latin1'));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return error.code === 'EACCES' || error.code === 'EPERM' ? 'refused' : 'missing';
  }
}

/**
 * Tells blocked reads from stuck requests, for a daemon that answers.
 *
 * @param path the mount's path
 * @throws SystemError with the errno of open(2) or read(2) of `log/.status`
 */
export async function readWaiting(path: string): Promise<WaitingRequests | Unknown> {
  let blocked = 0;
  let stuck = Infinity;
  for (let look = 0; look < LOOKS && stuck > 0; look++) {
    // A read that blocks or ends between the two counts is in one of them only
    const before = Number(readStatusFile(`${path}/log`).get('PARKED') ?? 0);
    // The RELEASE of the file is a request too, and close(2) does not wait for it
    await sleep(look === 0 ? RELEASE_MS : PAUSE_MS);
    const all = countWaiting(path);
    if (typeof all !== 'number') return all;
    blocked = Number(readStatusFile(`${path}/log`).get('PARKED') ?? 0);
    stuck = Math.min(stuck, Math.max(0, all - Math.max(before, blocked)));
  }
  return { blocked, stuck };
}
