/** What a daemon without a terminal says: syslog(3), by /dev/log. */
import { sendDatagram } from '#native';

const SOCKET = '/dev/log';
/** LOG_DAEMON and LOG_WARNING of syslog(3). */
const PRIORITY = 3 * 8 + 4;

/** Sends each line as a datagram; the syslog daemon may be missing or not keep up, and then the lines are lost. */
export function toSyslog(message: string): void {
  for (const line of message.split('\n')) {
    try {
      sendDatagram(SOCKET, `<${PRIORITY}>${timestamp(new Date())} eventfs[${process.pid}]: ${line}`, false);
    } catch {
      // The daemon must go on, and has nowhere else to say it.
    }
  }
}

/** `Nov  3 09:05:01`: RFC 3164, 4.1.2. */
function timestamp(now: Date): string {
  const month = now.toLocaleString('en-US', { month: 'short' });
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
  return `${month} ${String(now.getDate()).padStart(2)} ${clock}`;
}
