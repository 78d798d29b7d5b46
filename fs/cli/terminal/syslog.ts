/** Sends the log of a daemon without a terminal to /dev/log, as syslog(3) does. */
import { sendDatagram } from '#native';
import type { LogLevel } from '../../shared/log/log-levels.js';

const SOCKET = '/dev/log';
/** LOG_DAEMON of syslog(3). */
const FACILITY = 3 * 8;
/** LOG_ERR, LOG_WARNING, LOG_INFO and LOG_DEBUG. */
const SEVERITY: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/**
 * Sends one line as a datagram. The line is lost if the syslog daemon is missing or does not keep
 * up.
 *
 * @param line without the prefix of syslog
 */
export function toSyslog(line: string, level: LogLevel): void {
  try {
    sendDatagram(
      SOCKET,
      `<${FACILITY + SEVERITY[level]}>${timestamp(new Date())} eventfs[${process.pid}]: ${line}`,
      false,
    );
  } catch {
    // The daemon must go on, and has no other place for the message.
  }
}

/** Formats a time as in `Nov  3 09:05:01`: RFC 3164, 4.1.2. */
function timestamp(now: Date): string {
  const month = now.toLocaleString('en-US', { month: 'short' });
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
  return `${month} ${String(now.getDate()).padStart(2)} ${clock}`;
}
