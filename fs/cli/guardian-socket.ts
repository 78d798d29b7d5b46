/** The socket on which the guardian of a mount takes orders. */
import { closeSync } from 'node:fs';
import { ReadableWatch, connectSeqpacket, receiveMessage, sendMessage } from '#native';
import { controlDirectories, controlFiles, isOwn } from '../guard/control-files.js';
import { UserError, isSystemError } from '../shared/errors.js';

/** Longer than a guardian waits for a daemon whose connection has ended: OVER_MS in guard.h. */
const END_TIMEOUT_MS = 3000;

/**
 * Connects to the guardian that has mounted a path.
 *
 * @param path the mount point, as mountinfo shows it
 * @returns the descriptor of a socket; null if no guardian of this user has mounted there
 * @throws UserError if this user may not connect to it
 */
export function connectToGuardian(path: string): number | null {
  const directories = controlDirectories().filter(isOwn);
  return connectToOne(directories.map((directory) => controlFiles(path, directory).socket));
}

/**
 * Connects to the first socket that listens.
 *
 * @returns its descriptor; null if none listens
 * @throws UserError if this user may not connect to it
 */
export function connectToOne(sockets: readonly string[]): number | null {
  let denied: UserError | null = null;
  for (const socket of sockets) {
    try {
      return connectSeqpacket(socket);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (error.code === 'EACCES')
        denied = UserError.from(error, socket, { EACCES: 'try as root' });
    }
  }
  if (denied !== null) throw denied;
  return null;
}

/**
 * Ends the guardian that has mounted a path, with its daemon, wherever the mount is now. A daemon
 * that was stopped does not notice the end of its mount, and its guardian waits for it.
 *
 * @param path the mount point, as mountinfo shows it
 * @returns `none`: there is no guardian; `ended`; `late`: it has not ended within 3 s
 * @throws UserError if this user may not connect to it
 */
export async function endGuardian(path: string): Promise<'none' | 'ended' | 'late'> {
  const guardian = connectToGuardian(path);
  if (guardian === null) return 'none';
  try {
    sendMessage(guardian, 'END', -1);
    return (await isClosed(guardian, END_TIMEOUT_MS)) ? 'ended' : 'late';
  } finally {
    closeSync(guardian);
  }
}

/** @returns whether the guardian ends the connection in time, and not because of the order */
async function isClosed(guardian: number, timeoutMs: number): Promise<boolean> {
  let isUnderstood = true;
  return new Promise((done) => {
    const end = (isOver: boolean): void => {
      clearTimeout(late);
      watch.close();
      done(isOver);
    };
    const late = setTimeout(() => end(false), timeoutMs);
    const watch = new ReadableWatch(guardian, () => {
      const answer = receiveMessage(guardian, new Int32Array(1));
      if (answer === '') end(isUnderstood);
      else if (answer !== null) isUnderstood = !answer.includes('does not know'); // an older one
    });
  });
}
