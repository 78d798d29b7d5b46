/** Tells a supervisor that the daemon is ready to serve. */
import { closeSync, writeSync } from 'node:fs';
import { sendDatagram } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';

/** The longest delay of a timer of Node, in milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

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

/** Sends states in place of this process: the guardian is the service's main process. */
let through: ((state: string) => void) | null = null;

/** Sends all later states through another process. */
export function tellSystemdThrough(send: (state: string) => void): void {
  through = send;
}

/**
 * Sends a state to systemd's notification socket: sd_notify(3). Does nothing without
 * $NOTIFY_SOCKET.
 *
 * @param state as in `READY=1`
 */
export function tellSystemd(state: string): void {
  if (through !== null) {
    through(state);
    return;
  }
  const socket = process.env.NOTIFY_SOCKET;
  if (socket === undefined || socket === '') return;
  try {
    sendDatagram(socket, state);
  } catch {
    // The supervisor no longer listens. That is no error, and the daemon serves.
  }
}

/**
 * Pings systemd's watchdog at half of its time-out, as sd_watchdog_enabled(3) advises, until the
 * process ends. Does nothing if $WATCHDOG_USEC is not set, or if $WATCHDOG_PID is another process.
 * The pings stop if the event loop hangs, and systemd restarts the service.
 */
export function pingWatchdog(): void {
  const { WATCHDOG_USEC: timeoutUs, WATCHDOG_PID: pid } = process.env;
  if (!/^[1-9]\d*$/.test(timeoutUs ?? '')) return;
  if (pid !== undefined && pid !== '' && pid !== String(process.pid)) return;
  const periodMs = Math.min(Number(timeoutUs) / 2000, LONGEST_TIMER_MS);
  setInterval(() => tellSystemd('WATCHDOG=1'), periodMs).unref();
}
