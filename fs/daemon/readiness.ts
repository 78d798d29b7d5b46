/** Tells a supervisor that the daemon is ready to serve. */
import { closeSync, writeSync } from 'node:fs';
import { sendDatagram } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';

/**
 * Writes a newline to a descriptor and closes it: s6's readiness protocol.
 *
 * @throws UserError with the errno of write(2) or close(2)
 */
export function tellReady(fd: number): void {
  try {
    writeSync(fd, '\n');
    closeSync(fd);
  } catch (error) {
    if (isSystemError(error))
      throw UserError.from(error, `--ready-fd ${fd}`, {
        EBADF: 'start the daemon with this descriptor open',
      });
    throw error;
  }
}

/**
 * Sends a state to systemd's notification socket: sd_notify(3). Does nothing without
 * $NOTIFY_SOCKET.
 *
 * @param state as in `READY=1`
 */
export function tellSystemd(state: string): void {
  const socket = process.env.NOTIFY_SOCKET;
  if (socket === undefined || socket === '') return;
  try {
    sendDatagram(socket, state);
  } catch {
    // The supervisor no longer listens. That is no error, and the daemon serves.
  }
}
