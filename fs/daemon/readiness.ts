/** Telling a supervisor that the daemon serves. */
import { closeSync, writeSync } from 'node:fs';
import { sendDatagram } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';

/** s6's readiness protocol: a newline, and the end. */
export function tellReady(fd: number): void {
  try {
    writeSync(fd, '\n');
    closeSync(fd);
  } catch (error) {
    if (isSystemError(error))
      throw UserError.from(error, `--ready-fd ${fd}`, { EBADF: 'that descriptor is not open' });
    throw error;
  }
}

/** sd_notify(3). */
export function tellSystemd(state: string): void {
  const socket = process.env.NOTIFY_SOCKET;
  if (socket === undefined || socket === '') return;
  try {
    sendDatagram(socket, state);
  } catch {
    // The supervisor does not listen any more: that is no reason not to serve.
  }
}
