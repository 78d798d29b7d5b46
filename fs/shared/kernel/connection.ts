/** FUSE connections, told apart by what fusectl shows of them (fs/fuse/control.c). */
import { statSync, writeFileSync } from 'node:fs';
import { isSystemError } from '../errors.js';
import { mountedAt } from './mountinfo.js';

/** Where fusectl is mounted: a directory for each connection. */
export const CONNECTIONS = '/sys/fs/fuse/connections';

/** A mount's connection to its daemon. */
export interface Connection {
  /** The minor number of the mount's device, or -1 if there was no mount. */
  readonly minor: number;
  /** Differs from that of every later connection with the same minor; null without fusectl. */
  readonly identity: string | null;
}

export const NO_CONNECTION: Connection = { minor: -1, identity: null };

/** Returns the connection of the mount at a path. */
export function connectionAt(path: string): Connection {
  const minor = mountedAt(path)?.minor ?? -1;
  return { minor, identity: identityOf(minor) };
}

/**
 * Tells whether a device number still stands for the same connection. The kernel assigns the number
 * of a filesystem that was unmounted to the next one, at once.
 */
export function isSameConnection({ minor, identity }: Connection): boolean {
  const now = identityOf(minor);
  return identity === null || now === null || now === identity;
}

/**
 * Aborts a connection by fusectl, which lets the user of the mount do it. Does nothing where
 * fusectl is not mounted.
 */
export function abortConnection({ minor }: Connection): void {
  try {
    writeFileSync(`${CONNECTIONS}/${minor}/abort`, '1');
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

/**
 * Returns the identity of the connection that has a device number now: that of its directory, which
 * the kernel makes with the connection and never reuses.
 *
 * @returns null without fusectl
 */
export function identityOf(minor: number): string | null {
  try {
    const { ino, ctimeNs } = statSync(`${CONNECTIONS}/${minor}`, { bigint: true });
    return `${ino} ${ctimeNs}`;
  } catch (error) {
    if (isSystemError(error)) return null;
    throw error;
  }
}
