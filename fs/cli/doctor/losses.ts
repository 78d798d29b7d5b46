/**
 * The checks of `eventfs doctor` that concern lost events: in the netlink socket, and in queues.
 */
import { lags, processDirectories, streams } from '../../client/status.js';
import type { Status, StatusKey } from '../../shared/status-lines.js';
import { textOf } from '../terminal/output.js';
import { type Finding, mendFor, mendOnMachine } from './finding.js';

/** The receive buffer that the daemon asks for, in bytes (fs/sources/uevent-source.ts). */
const WANTED_BUFFER_BYTES = 128 * 1024 * 1024;

/**
 * Checks whether all events of the kernel have reached the daemon.
 *
 * @param status the lines of `log/.status`
 */
export function checkSource(status: Status): Finding[] {
  const buffer = status.get('KERNEL_BUFFER');
  if (buffer === undefined)
    return [
      {
        level: 'ok',
        what: 'the kernel is not a source of this mount: events come from udevd or from programs',
      },
    ];
  const number = (key: StatusKey): number => Number(status.get(key) ?? 0);
  const found: Finding[] = [];
  if (Number(buffer) < WANTED_BUFFER_BYTES) {
    found.push({
      level: 'warn',
      what: `the kernel has granted a receive buffer of ${buffer} bytes, not of ${WANTED_BUFFER_BYTES}: a burst of events may overrun it`,
      mend: mendOnMachine(
        `give the daemon CAP_NET_ADMIN, or sysctl -w net.core.rmem_max=${WANTED_BUFFER_BYTES}`,
      ),
    });
  }
  if (number('LOST') > 0 || number('KERNEL_OVERRUNS') > 0) {
    found.push({
      level: 'warn',
      what: `${number('LOST')} events of the kernel were lost in ${number('KERNEL_OVERRUNS')} overruns; every queue has an overflow record`,
      mend: mendFor(
        'eventfs coldplug, which repeats the state of all devices; then give the daemon more CPU',
        'look up the present devices in /sys, or ask the administrator: eventfs coldplug',
      ),
    });
  }
  if (number('KERNEL_FORGED') > 0)
    found.push({
      level: 'warn',
      what: `the daemon has dropped ${number('KERNEL_FORGED')} forged events: a process sends to the kernel's netlink group`,
      mend: mendFor('look for processes with CAP_NET_ADMIN'),
    });
  if (number('KERNEL_GAPS') > 0)
    found.push({
      level: 'ok',
      what: `${number('KERNEL_GAPS')} SEQNUMs did not come: they belong to other network namespaces`,
    });
  if (found.every(({ level }) => level === 'ok'))
    found.push({
      level: 'ok',
      what: `${status.get('KERNEL')} events have come from the kernel, and none was lost on the way`,
    });
  return found;
}

/**
 * Reports each subscriber that has lost events, or whose queue is nearly full.
 *
 * @param path the mount's path
 * @param status the lines of `log/.status`
 */
export function checkSubscribers(path: string, status: Status): Finding[] {
  const subscribers = [...processDirectories(path).readable, ...streams(status)];
  const lagging = subscribers.filter(lags);
  if (lagging.length === 0)
    return [{ level: 'ok', what: `${subscribers.length} subscribers, and none lags` }];
  return lagging.map(({ what, pid, command, pending, lost }) => ({
    level: 'warn',
    what: `${textOf(command)} (pid ${pid}) does not keep up with ${textOf(what)}: ${pending} events wait, ${lost} were lost`,
    mend: maySignal(pid)
      ? 'make it read faster, or write a filter to its .filter'
      : 'ask its user to make it read faster, to set a filter, or to end it',
  }));
}

/** Tells whether this process may signal another: both have the same user, or this user is root. */
function maySignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
